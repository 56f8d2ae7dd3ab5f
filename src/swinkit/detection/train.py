"""Training a detector of boxes, or of boxes and masks.

Legend: B batch, C channels, H W map, G objects, N detections, K classes.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import DetectorConfig, RCNNConfig, RCNNKind
from swinkit.detection.data.dataset import DetectionBatch, DetectionDataset, collate_detection
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import DetectionSplits, load_detection
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.model import SwinDetector
from swinkit.detection.predict import in_image
from swinkit.detection.train_config import DetectionAugmentation, DetectionTrainConfig
from swinkit.detection.variants import DETECTORS, sides_of
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.pictures.figures import ScorePanel, SeenObjects, detection_preview
from swinkit.settings import by_name
from swinkit.task.starting_weights import build_dense
from swinkit.task.training import Batch, LoadWeights, Step, TrainingTask, Validation, gather

logger = logging.getLogger(__name__)

BOXES_ALONE: dict[RCNNKind, RCNNKind] = {
    "mask_rcnn": "faster_rcnn",
    "cascade_mask_rcnn": "cascade_rcnn",
}

FAR = 1.5  # times another size: what is trained no longer serves there
PROBE_OBJECTS = 16  # made-up objects of an image that measures memory


class DetectionTraining(TrainingTask[SwinDetector]):
    """The detector's own losses; the best epoch has the highest mask AP, or box AP without masks.

    Losses are means over what each process samples, so with several processes the total is the
    mean of theirs, as in the published trainings.
    """

    most_skipped: ClassVar[int] = 10
    uneven: ClassVar[bool] = True
    config: DetectionTrainConfig
    splits: DetectionSplits
    collate: Callable[[list[Any]], Batch] | None = staticmethod(collate_detection)

    def load(self) -> DetectionSplits:
        """COCO, VOC or YOLO."""
        return load_detection(self.config.data)

    def build_model(self, load: LoadWeights) -> SwinDetector:
        """A detector of the data's classes; of boxes alone where the data has no masks."""
        return build_detector(self.config, self.splits, load)

    def dataset(
        self, model: SwinDetector, samples: list[DetectionSample], *, train: bool
    ) -> DetectionDataset:
        """Images with their objects."""
        if train:
            _tell_sizes(self.config.augmentation, model.preprocessing)
        return DetectionDataset(
            samples,
            model.preprocessing,
            self.config.augmentation if train else None,
            masks=train and model.config.has_masks,
            seed=self.config.runtime.seed,
            on_bad_image=self.config.data.on_bad_image,
        )

    def probe_shape(self, model: SwinDetector) -> tuple[int, int, int]:
        """The largest image that training can meet, lying."""
        return (model.config.backbone.in_channels, *self._largest_hw(model))

    def _largest_hw(self, model: SwinDetector) -> tuple[int, int]:
        fit = model.preprocessing
        short, long = fit.short_side or 800, fit.long_side or 1333
        sides = self.config.augmentation.short_sides
        short = max(short, *sides) if sides else short
        height, width = (-(-side // fit.divisor) * fit.divisor for side in (short, long))
        return height, max(height, width)

    def probe(self, model: SwinDetector, images: Tensor) -> Tensor:
        """The losses for objects of many sizes."""
        height, width = images.shape[2:]
        place = torch.linspace(0, 1, PROBE_OBJECTS, device=images.device)
        size = 8 + place * (min(height, width) / 2)
        left, top = place * (width - size), place.flip(0) * (height - size)
        boxes = torch.stack([left, top, left + size, top + size], dim=1)  # G 4
        masks = None
        if model.config.has_masks:
            masks = torch.ones(PROBE_OBJECTS, height, width, dtype=torch.uint8, device=boxes.device)
        target = InstanceTarget(
            boxes_xyxy=boxes,
            labels=torch.zeros(PROBE_OBJECTS, dtype=torch.int64, device=boxes.device),
            masks=masks,
            size_hw=(height, width),
            ignored_xyxy=boxes.new_zeros(0, 4),
        )
        return torch.stack(list(model.losses(images, [target] * len(images)).values())).sum()

    def images_in(self, batch: DetectionBatch) -> int:
        """B."""
        return len(batch.indices)

    def to_device(self, batch: DetectionBatch, device: torch.device) -> DetectionBatch:
        """Images and objects."""
        return batch.to(device)

    def step(self, model: SwinDetector, batch: DetectionBatch, seed: int) -> Step:
        """All of the detector's losses."""
        terms = model.losses(batch.images, batch.targets)
        return Step(
            loss=torch.stack(list(terms.values())).sum(), terms=terms, shown={"batch": batch}
        )

    def validation(self, model: SwinDetector) -> "DetectionValidation":
        """COCO's average precision."""
        return DetectionValidation(self.splits.val, model.class_names)

    def score(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """Mask AP, or box AP without masks; among equals the AP at overlap 0.50."""
        kind = "mask" if "val_mask_ap" in row else "box"
        return row[f"val_{kind}_ap"], row[f"val_{kind}_ap50"]

    def headline(self, row: Mapping[str, float]) -> str:
        """AP and AP50 of boxes, and of masks where there are any."""
        kinds = [kind for kind in ("box", "mask") if f"val_{kind}_ap" in row]
        return "  ".join(
            f"{kind} AP {row[f'val_{kind}_ap']:.2%}  AP50 {row[f'val_{kind}_ap50']:.2%}"
            for kind in kinds
        )

    @property
    def panel(self) -> ScorePanel:
        """AP and AP50 of the kind that decides."""
        kind = "mask" if self.splits.has_masks else "box"
        kind_first = (f"val_{kind}_ap", f"{kind} AP"), (f"val_{kind}_ap50", f"{kind} AP50")
        boxes = (("val_box_ap", "box AP"),) if kind == "mask" else ()
        return ScorePanel(
            title="validation AP",
            columns=(*kind_first, *boxes),
            better=self.rank,
            dull_at_one=False,
        )

    def preview(self, model: SwinDetector, shown: dict[str, Any]) -> Figure:
        """Images with boxes and masks, cut to the unpadded part."""
        batch: DetectionBatch = shown["batch"]
        seen = []
        for image, target in zip(batch.images, batch.targets, strict=True):
            height, width = target.size_hw
            pixels = model.preprocessing.restore(image.float().cpu().numpy())
            masks = None if target.masks is None else target.masks[:, :height, :width].cpu()
            seen.append(
                SeenObjects(
                    image=pixels[:height, :width],
                    boxes_xyxy=target.boxes_xyxy.cpu().numpy(),
                    labels=target.labels.cpu().numpy(),
                    masks=None if masks is None else masks.numpy(),
                )
            )
        return detection_preview(seen, model.class_names)

    def describe_size(self, model: SwinDetector) -> str:
        """Short and long side."""
        fit = model.preprocessing
        return f"short side {fit.short_side}, long side up to {fit.long_side}"


class DetectionValidation(Validation):
    """Average precision of the validation images, in their own pixels."""

    def __init__(self, samples: list[DetectionSample], class_names: tuple[str, ...]) -> None:
        super().__init__()
        self.samples = samples
        self.names = class_names
        self.evaluator = CocoEvaluator(samples, class_names)

    def reset(self) -> None:
        """Start anew."""
        self.evaluator.reset()

    def update(self, model: SwinDetector, batch: DetectionBatch, real: Tensor) -> None:
        """Detect in a batch; an image that comes twice counts once."""
        found = model(batch.images, [target.size_hw for target in batch.targets])
        for raw, target, index in zip(found, batch.targets, batch.indices.tolist(), strict=True):
            sample = self.samples[index]
            result = in_image(raw, sample.size_hw, self.names, input_hw=target.size_hw)
            self.evaluator.update([(sample.image_id, result)])

    def compute(self) -> dict[str, float]:
        """AP and AP50; the processes' detections come together first."""
        self.evaluator.merge(gather(self.evaluator.state()))
        numbers = self.evaluator.compute().numbers()
        return {f"val_{name}": value for name, value in numbers.items()}


def build_detector(
    config: DetectionTrainConfig, splits: DetectionSplits, load: LoadWeights
) -> SwinDetector:
    """The network with its starting weights, without the facts of the run.

    A Mask R-CNN or its cascade becomes its kind without masks where the data has none.

    Raises:
        ConfigError: no such model, or one that needs what the data does not have.
        CheckpointError: starting weights that cannot be used.
    """
    return build_dense(
        SwinDetector,  # type: ignore[type-abstract]
        config,
        splits.class_names,
        load,
        fresh=lambda: _architecture(config),
        make=lambda architecture, info: SwinDetector.from_config(
            _for_data(architecture, splits, config), info=info
        ),
    )


def _architecture(config: DetectionTrainConfig) -> tuple[DetectorConfig, Fit]:
    """Of a detector's name, or of a backbone's: then the Mask R-CNN on it."""
    name = config.model.name
    if name not in DETECTORS and f"mask_rcnn_{name}" in DETECTORS:
        name = f"mask_rcnn_{name}"
    short_side, long_side = sides_of(name)
    fit = Fit(short_side=short_side, long_side=long_side)
    return config.architecture or by_name("detector", name, DETECTORS), fit


def _for_data(
    made: DetectorConfig, splits: DetectionSplits, config: DetectionTrainConfig
) -> DetectorConfig:
    if splits.has_masks or not made.has_masks:
        return made
    if not isinstance(made, RCNNConfig) or made.kind not in BOXES_ALONE:
        raise ConfigError(
            f"{config.data.path} has boxes but no masks, which {made.kind} learns from; choose a "
            "cascade_mask_rcnn, mask_rcnn, faster_rcnn or retinanet model"
        )
    kind = BOXES_ALONE[made.kind]
    logger.info("the data has boxes but no masks: training %s in place of %s", kind, made.kind)
    return replace(made, kind=kind, roi=replace(made.roi, mask=None))


def _tell_sizes(augmentation: DetectionAugmentation, fit: Fit) -> None:
    """Warn of training at other sizes than the model is measured and used at."""
    sides, used = augmentation.short_sides, fit.short_side
    if used is not None and not min(sides) / FAR <= used <= max(sides) * FAR:
        logger.warning(
            "short sides are %d to %d pixels in training, but %d when the model is measured and "
            "used; name nearer sides by --augmentation.short-sides",
            min(sides),
            max(sides),
            used,
        )
