"""Training a semantic segmenter. B batch, C channels, H W map, K classes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from swinkit.images.fitting import Fit
from swinkit.pictures.figures import ScorePanel, segmentation_preview
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.data.dataset import SegmentationDataset, collate_segmentation
from swinkit.segmentation.data.splits import (
    SegmentationSample,
    SegmentationSplits,
    load_segmentation,
)
from swinkit.segmentation.evaluate.scores import SegmentationEvaluator
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.predict import Pieces, whole_images
from swinkit.segmentation.train_config import SegmentationAugmentation, SegmentationTrainConfig
from swinkit.segmentation.variants import PAPER_FIT, SEGMENTERS
from swinkit.settings import by_name
from swinkit.task.evaluating import MeanLoss
from swinkit.task.starting_weights import build_dense
from swinkit.task.training import Batch, LoadWeights, Step, TrainingTask, Validation, gather

logger = logging.getLogger(__name__)


class SegmentationTraining(TrainingTask[SwinSegmenter]):
    """The segmenter's own losses; the best epoch has the highest mean IoU."""

    most_skipped: ClassVar[int] = 10
    config: SegmentationTrainConfig
    splits: SegmentationSplits
    collate: Callable[[list[Any]], Batch] | None = staticmethod(collate_segmentation)

    def __init__(self, config: SegmentationTrainConfig) -> None:
        super().__init__(config)
        self.loss = config.loss
        if config.class_weights == "balanced" and self.loss.class_weights is None:
            weights = tuple(self.splits.class_weights().tolist())
            self.loss = replace(self.loss, class_weights=weights)

    def load(self) -> SegmentationSplits:
        """Images with label masks."""
        return load_segmentation(self.config.data)

    def build_model(self, load: LoadWeights) -> SwinSegmenter:
        """A segmenter of the data's classes."""
        return build_segmenter(self.config, self.splits.class_names, load)

    def dataset(
        self, model: SwinSegmenter, samples: list[SegmentationSample], *, train: bool
    ) -> SegmentationDataset:
        """Images with a label for each pixel."""
        if train:
            _tell_padding(self.config.augmentation, model.preprocessing)
        return SegmentationDataset(
            samples,
            model.preprocessing,
            self.config.augmentation if train else None,
            seed=self.config.runtime.seed,
            on_bad_image=self.config.data.on_bad_image,
        )

    def probe_shape(self, model: SwinSegmenter) -> tuple[int, int, int]:
        """A crop."""
        return (
            model.config.backbone.in_channels,
            *self.config.augmentation.crop_hw,
        )

    def probe(self, model: SwinSegmenter, images: Tensor) -> Tensor:
        """The losses of every class in stripes; a single image is doubled, as batch norm needs."""
        if len(images) == 1:
            images = images.expand(2, -1, -1, -1)
        width = images.shape[3]
        stripes = torch.arange(width, device=images.device) * model.num_classes // width
        labels = stripes.expand(len(images), images.shape[2], width).contiguous()  # B H W
        return torch.stack(list(model.losses(images, labels, self.loss).values())).sum()

    def step(self, model: SwinSegmenter, batch: Batch, seed: int) -> Step:
        """All of the segmenter's losses."""
        images, labels, _ = batch
        terms = model.losses(images, labels, self.loss)
        loss = torch.stack(list(terms.values())).sum()
        return Step(loss=loss, terms=terms, shown={"images": images, "labels": labels})

    def validation(self, model: SwinSegmenter) -> "SegmentationValidation":
        """Cross-entropy and IoU."""
        return SegmentationValidation(
            self.splits.val, model.preprocessing, model.class_names, self.loss.ignore_index
        )

    def score(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """Mean IoU; among equals the smaller loss."""
        return row["val_miou"], -row["val_loss"]

    def headline(self, row: Mapping[str, float]) -> str:
        """Loss, mean IoU and the part of the pixels that are right."""
        return (
            f"val loss {row['val_loss']:.4f}  mIoU {row['val_miou']:.2%}  "
            f"pixels {row['val_pixel_accuracy']:.2%}"
        )

    @property
    def panel(self) -> ScorePanel:
        """Mean IoU and accuracies."""
        return ScorePanel(
            title="validation mIoU",
            columns=(
                ("val_miou", "mean IoU"),
                ("val_mean_accuracy", "mean accuracy"),
                ("val_pixel_accuracy", "pixel accuracy"),
            ),
            better=self.rank,
            dull_at_one=False,
        )

    def preview(self, model: SwinSegmenter, shown: dict[str, Any]) -> Figure:
        """Images beside their labels."""
        restore = model.preprocessing.restore
        images = [restore(image.float().cpu().numpy()) for image in shown["images"]]
        labels = list(shown["labels"].cpu().numpy())
        return segmentation_preview(images, labels, model.class_names, self.loss.ignore_index)

    def describe_size(self, model: SwinSegmenter) -> str:
        """Of the crops."""
        return "x".join(map(str, self.config.augmentation.crop_hw))


class SegmentationValidation(Validation):
    """Cross-entropy and IoU of the validation images, in their own pixels.

    Args:
        samples: which the loader's indices count.
        fit: how images are prepared.
        class_names: K names.
        ignore_index: label of pixels that do not count.
    """

    def __init__(
        self,
        samples: Sequence[SegmentationSample],
        fit: Fit,
        class_names: tuple[str, ...],
        ignore_index: int,
    ) -> None:
        super().__init__()
        self.samples = samples
        self.fit = fit
        self.loss = MeanLoss()
        self.evaluator = SegmentationEvaluator(
            class_names, ignore_index=ignore_index, boundary_tolerance=None
        )

    def reset(self) -> None:
        """Start anew."""
        self.loss.reset()
        self.evaluator.reset()

    def update(self, model: SwinSegmenter, batch: Batch, real: Tensor) -> None:
        """Count the images of a batch that are real."""
        images, labels, indices = batch
        originals_hw = [self.samples[index].size_hw for index in indices.tolist()]
        sizes_hw = [self.fit.size_for(original_hw) for original_hw in originals_hw]
        places = real.nonzero()[:, 0].tolist()
        # As in prediction: what pads a batch would change the maps of smaller images.
        for size_hw, alike in groupby(places, key=sizes_hw.__getitem__):
            group = list(alike)
            height, width = self.fit.padded_size(size_hw)
            values = images[group, :, :height, :width]
            own = [originals_hw[place] for place in group]
            for place, (rows, columns), pieces in zip(
                group, own, whole_images(model, values, size_hw, own), strict=True
            ):
                self._count(pieces, labels[place, :rows, :columns])

    def _count(self, pieces: Pieces, truth: Tensor) -> None:
        """Count one image by its logits and labels `H W`."""
        ignored = self.evaluator.ignore_index
        predicted = torch.empty_like(truth)
        total = torch.zeros((), dtype=torch.float64, device=truth.device)
        for (rows, columns), logits in pieces:
            part = truth[slice(*rows), slice(*columns)]
            predicted[slice(*rows), slice(*columns)] = logits.argmax(0)
            total += functional.cross_entropy(
                logits[None], part[None], ignore_index=ignored, reduction="sum"
            )
        pixels = int((truth != ignored).sum())
        if pixels:
            # The mean over labeled pixels, weighted by them, is that of the whole split.
            self.loss.update(total / pixels, images=pixels)
        self.evaluator.update(predicted, truth)

    def compute(self) -> dict[str, float]:
        """Over all processes."""
        states = gather(self.evaluator.state())
        self.evaluator.reset()
        self.evaluator.merge(states)
        scores = self.evaluator.compute()
        return {
            "val_loss": float(self.loss.compute()),
            "val_miou": scores.miou,
            "val_mean_accuracy": scores.mean_accuracy,
            "val_pixel_accuracy": scores.pixel_accuracy,
        }


def build_segmenter(
    config: SegmentationTrainConfig, class_names: tuple[str, ...], load: LoadWeights
) -> SwinSegmenter:
    """The network with its starting weights, without the facts of the run.

    Raises:
        ConfigError: no such model, or settings that contradict each other.
        CheckpointError: starting weights that cannot be used.
    """
    return build_dense(
        SwinSegmenter,
        config,
        class_names,
        load,
        fresh=lambda: _architecture(config),
        make=lambda architecture, info: SwinSegmenter(architecture, info=info),
    )


def _architecture(config: SegmentationTrainConfig) -> tuple[SegmenterConfig, Fit]:
    """Of a segmenter's name, or of a backbone's: then the UPerNet on it."""
    name = config.model.name
    if name not in SEGMENTERS and f"upernet_{name}" in SEGMENTERS:
        name = f"upernet_{name}"
    return config.architecture or by_name("segmenter", name, SEGMENTERS), PAPER_FIT


def _tell_padding(augmentation: SegmentationAugmentation, fit: Fit) -> None:
    """Warn of crops that no image fills."""
    short_side = fit.short_side
    if short_side is not None and min(augmentation.crop_hw) > short_side * augmentation.scale[1]:
        logger.warning(
            "crops of %dx%d pixels are larger than images of %d pixels on the short side, scaled "
            "by %g at most: the rest is padding; name smaller ones by --augmentation.crop-hw",
            *augmentation.crop_hw,
            short_side,
            augmentation.scale[1],
        )
