"""From images to detections: batches of any sizes, tiles, several views.

Legend: B batch, C channels, H W pixels, N detections of an image, s side of a mask, n instances of
a chunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from swinkit.detection.boxes.geometry import chunks, clip
from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.boxes.masks import paste_masks
from swinkit.detection.config import OutputConfig, Suppression
from swinkit.detection.network.base import DetectionNetwork
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.detection.tiles import merge_tiles, tile_boxes
from swinkit.detection.views import detect_views, make_views
from swinkit.errors import ConfigError, require
from swinkit.images.fitting import Fit
from swinkit.images.masks import merge_masks, place_crops
from swinkit.settings import Progress, SizeHW
from swinkit.task.predicting import InputImage, Predictor, Stopwatch
from swinkit.task.views import TestAugmentation

if TYPE_CHECKING:
    from supervision.detection.compact_mask import CompactMask

CHUNK_PIXELS = 1 << 23  # mask pixels that exist as arrays at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionPredictor(Predictor[Fit, SizeHW, Detections]):
    """Finds the objects in images.

    Attributes:
        output: which detections to keep.
        views: merges several scales and mirrored views of each image, or tile.
        tile_hw: size of tiles in pixels of the image; None takes images whole.
        overlap: share of a tile's side that neighbors have in common.
        progress: called with (tiles done, all).

    Raises:
        ConfigError: views through an exported file.
        MissingPackage: what holds masks is not installed.
    """

    network: DetectionNetwork
    output: OutputConfig
    views: TestAugmentation | None = None
    tile_hw: SizeHW | None = None
    overlap: float = 0.2
    progress: Progress | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network.config.has_masks:
            require("supervision")  # which holds them: said before the network has run
        if self.views is not None and next(self.network.parameters()).is_meta:
            raise ConfigError(
                "an exported file suppresses boxes of one view alone; leave views (--augment) out, "
                "or take the weights"
            )

    def prepare(self, pixels: np.ndarray, name: str) -> SizeHW:
        """The image's own size."""
        return pixels.shape[0], pixels.shape[1]

    def results(self, batch: Sequence[InputImage[SizeHW]], keep_images: bool) -> list[Detections]:
        """Results of images as read, with their names, pixels and times."""
        watch = Stopwatch()
        pixels, names = [image.pixels for image in batch], [image.name for image in batch]
        if self.tile_hw is None:
            found = self.detect(pixels, names)
        else:
            found = [
                self.detect_in_tiles(image, self.tile_hw, name)
                for image, name in zip(pixels, names, strict=True)
            ]
        seconds = watch.share(len(batch))
        return [
            replace(one, image_rgb=self.picture(image, keep_images), seconds=seconds)
            for image, one in zip(batch, found, strict=True)
        ]

    def detect(self, images: Sequence[np.ndarray], names: Sequence[str | None]) -> list[Detections]:
        """Objects of each image (H, W, C), or tile, in its own pixels."""
        if self.views is not None:
            return [
                self._detect_views(image, name, self.views)
                for image, name in zip(images, names, strict=True)
            ]
        fitted = [self.preprocessing(image) for image in images]
        values = pad_together([one.values for one in fitted])
        sizes_hw = [one.size_hw for one in fitted]
        raws = self.run(self.place(values), sizes_hw, self.output)
        return [
            in_image(raw, one.original_hw, self.class_names, input_hw=one.size_hw, source=name)
            for raw, one, name in zip(raws, fitted, names, strict=True)
        ]

    def detect_in_tiles(
        self, image: np.ndarray, tile_hw: SizeHW, name: str | None = None
    ) -> Detections:
        """Objects of one image, tile by tile."""
        size_hw = (image.shape[0], image.shape[1])
        tiles = tile_boxes(size_hw, tile_hw, self.overlap)
        parts: list[Detections] = []
        for start in range(0, len(tiles), self.batch_size):
            chunk = tiles[start : start + self.batch_size]
            pixels = [image[top:bottom, left:right] for left, top, right, bottom in chunk]
            parts += self.detect(pixels, [name] * len(pixels))
            if self.progress is not None:
                self.progress(len(parts), len(tiles))
        return merge_tiles(parts, tiles, size_hw, self.output.suppression.iou)

    def _detect_views(
        self, image: np.ndarray, name: str | None, augmentation: TestAugmentation
    ) -> Detections:
        raw = detect_views(
            self.network, make_views(image, self.preprocessing, augmentation), self.output
        )
        return in_image(raw, (image.shape[0], image.shape[1]), self.class_names, source=name)


def pad_together(images: Sequence[np.ndarray]) -> Tensor:
    """(C, H, W) images of any sizes in one `B C H W` batch, zeros right and below."""
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    batch = torch.zeros(len(images), images[0].shape[0], height, width)
    for own, image in zip(batch, images, strict=True):
        own[:, : image.shape[1], : image.shape[2]] = torch.from_numpy(image)
    return batch


def in_image(
    raw: RawDetections,
    size_hw: SizeHW,
    class_names: Sequence[str],
    *,
    input_hw: SizeHW | None = None,
    source: str | None = None,
) -> Detections:
    """Detections in pixels of an image, cut to it; their masks pasted.

    Args:
        raw: in pixels of the network's input.
        size_hw: of the image as it was read.
        class_names: K names.
        input_hw: of the input without its padding; None: `raw` is in the image's pixels already.
        source: names the image.
    """
    boxes = raw.boxes_xyxy.float()
    if input_hw is not None:
        scale_wh = [input_hw[1] / size_hw[1], input_hw[0] / size_hw[0]]
        boxes = boxes / boxes.new_tensor(scale_wh * 2)
    boxes = clip(boxes, size_hw)
    found = Detections(
        class_names=tuple(class_names),
        boxes_xyxy=boxes.cpu().numpy(),
        scores=raw.scores.float().cpu().numpy(),
        labels=raw.labels.cpu().numpy(),
        size_hw=size_hw,
        source=source,
    )
    if raw.mask_probabilities is None:
        return found
    masks = pack_masks(raw.mask_probabilities, boxes, size_hw)
    return InstanceMasks(**vars(found), masks=masks)


def pack_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: SizeHW, threshold: float = 0.5
) -> "CompactMask":
    """Stretch (N, s, s) probabilities over (N, 4) boxes of an image of `size_hw`.

    The pixels are those of `paste_masks`; only a window around each box is ever made, so memory
    does not grow with the image.
    """
    boxes = boxes_xyxy.float()
    limit = boxes.new_tensor([size_hw[1], size_hw[0]])
    first = torch.minimum(boxes[:, :2].floor().clamp(min=0), limit)
    last = torch.minimum(boxes[:, 2:].ceil().clamp(min=0), limit)
    corners_xy, sides_wh = first.long(), (last - first).long().clamp(min=1)
    order = sides_wh.prod(1).argsort()
    parts: list[CompactMask] = []
    for run, wide, tall in chunks(sides_wh[order].cpu(), CHUNK_PIXELS):
        rows = order[run]
        window_hw = (min(tall, size_hw[0]), min(wide, size_hw[1]))
        # Windows are as large as the chunk's largest; near the border they are moved back.
        corner = torch.minimum(corners_xy[rows], limit.long() - rows.new_tensor(window_hw[::-1]))
        # A whole number of pixels is subtracted, which floats do exactly.
        inside = boxes[rows] - corner.repeat(1, 2).float()
        pasted = paste_masks(probabilities[rows], inside, window_hw, threshold).cpu().numpy()
        parts.append(place_crops(pasted, corner.flip(1).tolist(), size_hw))
    return merge_masks(parts, size_hw)[order.argsort().tolist()]


def output_settings(
    output: OutputConfig,
    score_threshold: float | None,
    suppression: Suppression | None,
    max_per_image: int | None,
) -> OutputConfig:
    """The model's, with what is given in place.

    Raises:
        ConfigError: settings out of range.
    """
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
