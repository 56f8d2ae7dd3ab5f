"""From images to detections: batches of any sizes, tiles, several views.

Legend: B batch, C channels, H W pixels, N detections of an image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.config import OutputConfig, Suppression
from swinkit.detection.paste import pack_masks
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.detection.tiles import FoundObjects, merge_tiles, tile_boxes
from swinkit.detection.views import detect_augmented
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit, Fitted
from swinkit.settings import SizeHW
from swinkit.task.base import OnError, Progress
from swinkit.task.predicting import (
    Opened,
    Source,
    Stopwatch,
    as_list,
    list_sources,
    place_of,
    predict_each,
)
from swinkit.task.views import TestAugmentation

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector


def each_detection(
    model: "SwinDetector",
    source: Source,
    *,
    image_size: int | Literal["original"] | None = None,
    score_threshold: float | None = None,
    batch_size: int = 1,
    tile: SizeHW | int | None = None,
    overlap: float = 0.2,
    augment: TestAugmentation | None = None,
    suppression: Suppression | None = None,
    max_per_image: int | None = None,
    on_error: OnError = "raise",
    device: str | torch.device | None = None,
    keep_images: bool = True,
    progress: Progress | None = None,
) -> Iterator[Detections]:
    """Find the objects in images: answers one by one, in the order of the source.

    Only a batch of images is in memory at a time. `SwinDetector.predict` gives a list of all.

    Args:
        source: path of an image, a directory (searched recursively; frames of a video in the
            order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image, or a
            list of any of these. A memory-mapped uint8 array is read tile by tile.
        image_size: short side in pixels that images, or tiles, are scaled to; "original" leaves
            them as they are; None takes the model's.
        score_threshold: detections must score higher; None takes the model's.
        batch_size: images, or tiles of an image, in one forward pass; they may differ in size.
        tile: (height, width), or a side, in pixels of the image: it is looked at tile by tile,
            each prepared as an image of its own, and what the tiles found is put together. For
            images larger than memory, and for small objects in large images.
        overlap: share of a tile's side that neighbours have in common; objects up to that size
            are seen whole by some tile.
        augment: merge several scales, and mirrored views.
        suppression: of overlapping detections, in place of the model's.
        max_per_image: best detections of an image, or of a tile; None takes the model's.
        on_error: "skip" leaves out images that cannot be read.
        device: moves the model there first; None leaves it where it is.
        keep_images: keep each picture in its result, for `plot`.
        progress: called with (tiles done, all) of an image that is looked at tile by tile.

    Yields:
        `InstanceMasks` from models with masks, else `Detections`; in pixels of the images as read.

    Raises:
        ImageError: nothing found, or an unreadable image with on_error="raise".
        ConfigError: settings out of range.
    """
    channels = model.config.backbone.in_channels
    fit = model.preprocessing.for_channels(channels)
    finder = _Finder(
        model=model,
        fit=fit if image_size is None else fit.of_size(image_size),
        output=_output(model.config.output, score_threshold, suppression, max_per_image),
        augment=augment,
        batch_size=batch_size,
        tile_hw=(tile, tile) if isinstance(tile, int) else tile,
        overlap=overlap,
        progress=progress,
    )
    return predict_each(
        model,
        list_sources(source),
        lambda pixels, _: pixels.shape[:2],
        lambda batch: finder.results(batch, keep_images),
        channels=channels,
        batch_size=batch_size,
        on_error=on_error,
        device=device,
    )


predict_detections = as_list(each_detection)


def pad_together(images: Sequence[np.ndarray]) -> Tensor:
    """(C, H, W) images of any sizes in one `B C H W` batch, zeros right and below."""
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    batch = torch.zeros(len(images), images[0].shape[0], height, width)
    for own, image in zip(batch, images, strict=True):
        own[:, : image.shape[1], : image.shape[2]] = torch.from_numpy(image)
    return batch


def to_original(raw: RawDetections, fitted: Fitted) -> FoundObjects:
    """Detections of the network's input as those of the image as read."""
    boxes = raw.boxes_xyxy.float()
    return in_image(
        replace(raw, boxes_xyxy=boxes / boxes.new_tensor(fitted.scale_wh * 2)), fitted.original_hw
    )


def in_image(raw: RawDetections, size_hw: SizeHW) -> FoundObjects:
    """Detections in pixels of an image, cut to it; their masks pasted."""
    height, width = size_hw
    boxes = raw.boxes_xyxy.float()
    boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
    masks = None
    if raw.mask_probabilities is not None:
        masks = pack_masks(raw.mask_probabilities, boxes, size_hw)
    return FoundObjects(
        boxes.cpu().numpy(), raw.scores.float().cpu().numpy(), raw.labels.cpu().numpy(), masks
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Finder:
    model: "SwinDetector"
    fit: Fit
    output: OutputConfig
    augment: TestAugmentation | None
    batch_size: int
    tile_hw: SizeHW | None
    overlap: float
    progress: Progress | None

    def results(self, batch: Sequence[Opened[SizeHW]], keep_images: bool) -> list[Detections]:
        watch = Stopwatch()
        if self.tile_hw is None:
            found = self.find([image.pixels for image in batch])
        else:
            found = [self.find_in_tiles(image.pixels, self.tile_hw) for image in batch]
        seconds = watch.share(len(batch))
        return [
            self._result(image, objects, keep_images, seconds)
            for image, objects in zip(batch, found, strict=True)
        ]

    def find(self, images: Sequence[np.ndarray]) -> list[FoundObjects]:
        """Objects of each image, or tile, in its own pixels."""
        if self.augment is not None:
            return [self._find_augmented(image, self.augment) for image in images]
        device, dtype = place_of(self.model)
        fitted = [self.fit(image) for image in images]
        values = pad_together([one.values for one in fitted]).to(device, dtype)
        raws = self.model(values, [one.size_hw for one in fitted], self.output)
        return [to_original(raw, one) for raw, one in zip(raws, fitted, strict=True)]

    def find_in_tiles(self, image: np.ndarray, tile_hw: SizeHW) -> FoundObjects:
        """Objects of one image, looked at tile by tile."""
        size_hw = (image.shape[0], image.shape[1])
        tiles = tile_boxes(size_hw, tile_hw, self.overlap)
        parts: list[FoundObjects] = []
        for start in range(0, len(tiles), self.batch_size):
            chunk = tiles[start : start + self.batch_size]
            parts += self.find(
                [image[top:bottom, left:right] for left, top, right, bottom in chunk]
            )
            if self.progress is not None:
                self.progress(len(parts), len(tiles))
        return merge_tiles(parts, tiles, size_hw, self.output.suppression.iou)

    def _find_augmented(self, image: np.ndarray, augment: TestAugmentation) -> FoundObjects:
        raw = detect_augmented(self.model, image, self.fit, augment, self.output)
        return in_image(raw, (image.shape[0], image.shape[1]))

    def _result(
        self, image: Opened[SizeHW], found: FoundObjects, keep_images: bool, seconds: float
    ) -> Detections:
        plain = Detections(
            class_names=self.model.class_names,
            boxes_xyxy=found.boxes_xyxy,
            scores=found.scores,
            labels=found.labels,
            size_hw=image.prepared,
            source=image.name,
            image_rgb=image.picture(keep_images),
            seconds=seconds,
        )
        return plain if found.masks is None else InstanceMasks(**vars(plain), masks=found.masks)


def _output(
    output: OutputConfig,
    score_threshold: float | None,
    suppression: Suppression | None,
    max_per_image: int | None,
) -> OutputConfig:
    if score_threshold is not None:
        if not 0 <= score_threshold < 1:
            raise ConfigError(f"score threshold is {score_threshold}; it lies in 0..1, 1 excluded")
        output = replace(output, score_threshold=score_threshold)
    if suppression is not None:
        output = replace(output, suppression=suppression)
    if max_per_image is not None:
        if max_per_image < 1:
            raise ConfigError(f"max_per_image is {max_per_image}; give at least 1")
        output = replace(output, max_per_image=max_per_image)
    return output
