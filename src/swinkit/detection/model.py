"""Object detection and instance segmentation of images: networks with class names and `predict`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from swinkit.detection.config import DetectorConfig, RCNNConfig, RetinaNetConfig, Suppression
from swinkit.detection.network.base import DetectionNetwork
from swinkit.detection.network.rcnn import RCNN
from swinkit.detection.network.retina import RetinaNet
from swinkit.detection.predict import DetectionPredictor, output_settings
from swinkit.detection.result import Detections
from swinkit.detection.roi_config import Norm, SemanticConfig
from swinkit.detection.variants import DETECTORS, sides_of
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.settings import Progress, SizeHW, by_name
from swinkit.task.base import OnError
from swinkit.task.model import Answer, ModelInfo, TaskModel
from swinkit.task.predicting import Source, listed
from swinkit.task.views import TestAugmentation
from swinkit.windows.kernels import Kernel

MOST_ANSWERS = 20
SMALLEST = 1e-12  # a probability whose logarithm is still a number


class SwinDetector(DetectionNetwork, TaskModel[Fit]):
    """A network that finds objects in images, with the facts in `info`.

    `swinkit.create_detector`, `swinkit.load` and `from_config` give one: with region proposals
    and heads on them, or a RetinaNet, as its `config` says.

    Example:
        >>> import numpy as np, swinkit
        >>> model = swinkit.create_detector("mask_rcnn_swin_nano", class_names=("cat", "dog"))
        >>> [found] = model.predict(np.zeros((64, 96, 3), np.uint8), image_size=64)
        >>> type(found).__name__, found.size_hw
        ('InstanceMasks', (64, 96))
    """

    task = "detection"
    prepare_type = Fit

    @staticmethod
    def from_config(config: DetectorConfig, *, info: ModelInfo | None = None) -> "SwinDetector":
        """A detector of that architecture, with fresh weights.

        Args:
            config: architecture.
            info: class names, preprocessing, metrics, provenance.

        Raises:
            ConfigError: class names that do not fit the model.
        """
        if isinstance(config, RCNNConfig):
            return SwinRCNN(config, info=info)
        if isinstance(config, RetinaNetConfig):
            return SwinRetinaNet(config, info=info)
        raise ConfigError(f"no detector has a {type(config).__name__}")

    def predict_iter(
        self,
        source: Source,
        *,
        image_size: int | Literal["original"] | None = None,
        score_threshold: float | None = None,
        batch_size: int = 1,
        tile: SizeHW | int | None = None,
        overlap: float = 0.2,
        views: TestAugmentation | None = None,
        suppression: Suppression | None = None,
        max_per_image: int | None = None,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
        progress: Progress | None = None,
    ) -> Iterator[Detections]:
        """Find the objects in images, in the order of the source; `predict` gives a list.

        Only a batch of images is in memory at a time. The model is in evaluation mode until the
        last result is taken.

        Args:
            source: path of an image, a directory (searched recursively; frames of a video in the
                order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image,
                or a list of any of these. A memory-mapped uint8 array is read tile by tile.
            image_size: short side in pixels that images, or tiles, are scaled to; "original"
                leaves them as they are; None takes the model's.
            score_threshold: detections must score higher; None takes the model's.
            batch_size: images, or tiles of an image, in one forward pass; they may differ in size.
            tile: (height, width), or a side, in pixels of the image: it is taken tile by tile,
                each prepared as an image of its own, and what the tiles hold is put together.
                For images larger than memory, and for small objects in large images.
            overlap: share of a tile's side that neighbors have in common; objects up to that size
                are seen whole by some tile.
            views: merge several scales, and mirrored views.
            suppression: of overlapping detections, in place of the model's.
            max_per_image: best detections of an image, or of a tile; None takes the model's.
            on_error: "skip" leaves out images that cannot be read and logs why; a function is
                called with the error of each instead.
            device: moves the model there first; None leaves it where it is.
            keep_images: keep each picture in its result, for `plot`.
            progress: called with (tiles done, all) of an image that is taken tile by tile.

        Returns:
            `InstanceMasks` from models with masks, else `Detections`; in pixels of the images as
            read.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
            ConfigError: settings out of range.
        """
        channels = self.config.backbone.in_channels
        fit = self.preprocessing.for_channels(channels)
        predictor = DetectionPredictor(
            network=self,
            class_names=self.class_names,
            preprocessing=fit if image_size is None else fit.of_size(image_size),
            output=output_settings(self.config.output, score_threshold, suppression, max_per_image),
            views=views,
            batch_size=batch_size,
            runner=self.runner,
            tile_hw=(tile, tile) if isinstance(tile, int) else tile,
            overlap=overlap,
            progress=progress,
        )
        return predictor.predict_iter(
            source, on_error=on_error, device=device, keep_images=keep_images
        )

    predict = listed(predict_iter)
    """`predict_iter`, with all results in a list."""

    def answers(self, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
        """The boxes found, best first: how probable their class is in that place."""

        def answer(place: int) -> Answer:
            box, label = found.boxes_xyxy[place], int(found.labels[place])
            at = " ".join(f"{value:.0f}" for value in box.tolist())
            prepared = self.class_probability(features, box, label, size_hw)
            return Answer(
                name=f"{self.class_names[label]} {float(found.scores[place]):.2f} at {at}",
                score=lambda images, maps: (
                    prepared(self.features_of(maps)).clamp(min=SMALLEST).log()
                ),
            )

        size_hw = (images.shape[2], images.shape[3])
        with torch.no_grad():
            features = self.features_of(maps)
            found = self.best(features, [size_hw])[0]
            return [answer(place) for place in range(min(len(found.scores), MOST_ANSWERS))]


class SwinRCNN(RCNN, SwinDetector):
    """Faster or Mask R-CNN, a cascade of them, or HTC."""

    def __init__(self, config: RCNNConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config)
        self.info = info or ModelInfo(preprocessing=Fit())


class SwinRetinaNet(RetinaNet, SwinDetector):
    """RetinaNet."""

    def __init__(self, config: RetinaNetConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config)
        self.info = info or ModelInfo(preprocessing=Fit())


def create_detector(
    name: str,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    norm: Norm | None = None,
    semantic: SemanticConfig | None = None,
    fit: Fit | None = None,
) -> SwinDetector:
    """A detector with fresh weights.

    Args:
        name: key of `swinkit.detection.variants.DETECTORS`, such as "mask_rcnn_swin_t".
        num_classes: by default as many as class names, else 80 (COCO).
        class_names: one per class.
        in_channels: bands of the image.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; by default the variant's.
        attention: "auto", "sdpa" or "reference"; None keeps the variant's.
        gradient_checkpointing: save memory in training.
        norm: of the convolutions of box heads, where they have any; by default the variant's
            ("sync_batch" in the cascades; "group" suits small batches).
        semantic: adds HTC's semantic branch.
        fit: how `predict` prepares an image; by default short side 800, long side at most 1333.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.

    Example:
        >>> import swinkit
        >>> model = swinkit.create_detector("mask_rcnn_swin_nano", class_names=("cat", "dog"))
        >>> model.num_classes
        2
    """
    config = by_name("detector", name, DETECTORS)
    backbone = config.backbone.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    if num_classes is None:
        num_classes = config.num_classes if class_names is None else len(class_names)
    config = replace(config, backbone=backbone, num_classes=num_classes)
    short_side, long_side = sides_of(name)
    fit = fit or Fit(short_side=short_side, long_side=long_side)
    info = ModelInfo(
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=fit.for_channels(in_channels),
    )
    return SwinDetector.from_config(_with_heads(config, norm, semantic), info=info)


def _with_heads(
    config: DetectorConfig, norm: Norm | None, semantic: SemanticConfig | None
) -> DetectorConfig:
    if norm is None and semantic is None:
        return config
    if not isinstance(config, RCNNConfig):
        raise ConfigError(f"{config.kind} has no RoI heads; leave norm and semantic out")
    box = config.roi.box if norm is None else replace(config.roi.box, norm=norm)
    roi = replace(config.roi, box=box, semantic=semantic or config.roi.semantic)
    return replace(config, roi=roi)
