"""Object detection and instance segmentation of images: networks with class names and `predict`."""

from collections.abc import Iterator
from typing import Literal

import torch

from swinkit.detection.config import DetectorConfig, RCNNConfig, RetinaNetConfig, Suppression
from swinkit.detection.network.base import DetectionNetwork
from swinkit.detection.network.rcnn import RCNN
from swinkit.detection.network.retina import RetinaNet
from swinkit.detection.predict import DetectionPredictor, output_settings
from swinkit.detection.result import Detections
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.settings import SizeHW
from swinkit.task.base import OnError, Progress
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel
from swinkit.task.predicting import Source
from swinkit.task.views import TestAugmentation


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

    def predict(
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
    ) -> list[Detections]:
        """Find the objects in images; results in the order of the source.

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
            on_error: "skip" leaves out images that cannot be read.
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
        return list(
            self.predict_iter(
                source,
                image_size=image_size,
                score_threshold=score_threshold,
                batch_size=batch_size,
                tile=tile,
                overlap=overlap,
                views=views,
                suppression=suppression,
                max_per_image=max_per_image,
                on_error=on_error,
                device=device,
                keep_images=keep_images,
                progress=progress,
            )
        )

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
        """As `predict`, result by result: only a batch of images is in memory at a time.

        The model is in evaluation mode until the last result is taken.
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
            tile_hw=(tile, tile) if isinstance(tile, int) else tile,
            overlap=overlap,
            progress=progress,
        )
        return predictor.predict_iter(
            source, on_error=on_error, device=device, keep_images=keep_images
        )


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
