"""From images to semantic maps: whole, through a sliding window, from several views.

Legend: B batch, C channels, K classes, H W original image, h w network's input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit, resize_linear
from swinkit.segmentation.network.segmenter import SegmentationNetwork
from swinkit.segmentation.result import SemanticMap, label_type
from swinkit.segmentation.sliding import SlidingWindow, check_windows
from swinkit.segmentation.upsample import Block, upsampled
from swinkit.segmentation.views import View, mean_scores
from swinkit.settings import Progress, SizeHW
from swinkit.task.predicting import InputImage, Predictor, Stopwatch
from swinkit.task.views import TestAugmentation

BLOCK_BYTES = 1 << 28  # upsampled logits that exist at a time

Pieces = Iterator[tuple[Block, Tensor]]  # rectangles of the original image, `K H W` of each


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationPredictor(Predictor[Fit, SizeHW, SemanticMap]):
    """Gives the pixels of images their classes.

    Attributes:
        window_hw, stride_hw: of a sliding window, or None.
        views: of each image, or None.
        keep_probabilities: keep the probabilities beside the labels.
        progress: called with the windows of an image that are done, and all of them.
    """

    network: SegmentationNetwork
    window_hw: SizeHW | None = None
    stride_hw: SizeHW | None = None
    views: TestAugmentation | None = None
    keep_probabilities: bool = False
    progress: Progress | None = None

    def prepare(self, pixels: np.ndarray, name: str) -> SizeHW:
        """The size that the image is scaled to."""
        return self.preprocessing.size_for((pixels.shape[0], pixels.shape[1]))

    def results(self, batch: Sequence[InputImage[SizeHW]], keep_images: bool) -> list[SemanticMap]:
        """Neighbors of one size in one forward pass: padding would change their maps."""
        results = []
        for _, same_size in groupby(batch, key=lambda image: image.prepared):
            images = list(same_size)
            watch = Stopwatch()
            found = [
                self._collect(pieces, (image.pixels.shape[0], image.pixels.shape[1]))
                for image, pieces in zip(images, self._scores(images), strict=True)
            ]
            seconds = watch.share(len(images))
            results += [
                SemanticMap(
                    class_names=self.class_names,
                    labels=labels,
                    probabilities=probabilities,
                    source=image.name,
                    image_rgb=self.picture(image, keep_images),
                    seconds=seconds,
                )
                for image, (labels, probabilities) in zip(images, found, strict=True)
            ]
        return results

    def _scores(self, images: Sequence[InputImage[SizeHW]]) -> list[Pieces]:
        """Of images that are prepared alike: mean probabilities of their views, or logits, where
        only labels are kept."""
        logits = self.views is None and not self.keep_probabilities
        if self.window_hw is None and self.views is None:
            fitted = [self.preprocessing(image.pixels) for image in images]
            values = self.to_network([one.values for one in fitted])
            originals = [one.original_hw for one in fitted]
            found = whole_images(self.run, values, fitted[0].size_hw, originals)
            return found if logits else [_softmax(pieces) for pieces in found]
        return [
            mean_scores(
                self._views(image.pixels),
                (image.pixels.shape[0], image.pixels.shape[1]),
                pixels=most_pixels(self.network.num_classes),
                logits=logits,
                progress=self.progress,
            )
            for image in images
        ]

    def _views(self, image: np.ndarray) -> list[View]:
        original_hw = (image.shape[0], image.shape[1])
        fit, views = self.preprocessing, self.views
        sizes = [fit.size_for(original_hw)] if views is None else views.sizes(fit, original_hw)
        flips = (False, True) if views is not None and views.flip else (False,)
        return [
            self._view(pixels, mirrored)
            for size_hw in sizes
            for pixels in [resize_linear(image, size_hw)]
            for mirrored in flips
        ]

    def _view(self, pixels: np.ndarray, mirrored: bool) -> View:
        """Of an image in the size of the view; windows are prepared when their turn comes."""
        size_hw = (pixels.shape[0], pixels.shape[1])
        pixels = pixels[:, ::-1] if mirrored else pixels
        fit = replace(self.preprocessing, divisor=1)

        def infer(windows: Sequence[Block]) -> Tensor:
            crops = [pixels[slice(*rows), slice(*columns)] for rows, columns in windows]
            crop_hw = (crops[0].shape[0], crops[0].shape[1])
            values = [fit.normalize(crop, crop_hw).values for crop in crops]
            logits: Tensor = self.run(self.to_network(values))
            return logits.float()

        window = SlidingWindow(
            infer=infer,
            size_hw=size_hw,
            window_hw=self.window_hw or size_hw,
            stride_hw=self.stride_hw or size_hw,
            batch_size=self.batch_size,
        )
        small = size_hw[0] * size_hw[1] <= most_pixels(self.network.num_classes)
        return View(window=window, mirrored=mirrored, keep=small or self.window_hw is None)

    def _collect(self, pieces: Pieces, size_hw: SizeHW) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels (H, W) and, if they are kept, probabilities (K, H, W) float16."""
        classes = self.network.num_classes
        labels = np.empty(size_hw, label_type(classes))
        kept = np.empty((classes, *size_hw), np.float16) if self.keep_probabilities else None
        for (rows, columns), scores in pieces:
            labels[slice(*rows), slice(*columns)] = scores.argmax(0).cpu().numpy()
            if kept is not None:
                kept[:, slice(*rows), slice(*columns)] = scores.half().cpu().numpy()
        return labels, kept


def whole_images(
    network: Callable[[Tensor], Tensor],
    values: Tensor,
    size_hw: SizeHW,
    originals_hw: Sequence[SizeHW],
) -> list[Pieces]:
    """Logits of images of one size, in one pass, upsampled to their own pixels block by block.

    Args:
        values: `B C h w`, prepared.
        size_hw: their part that is no padding.
        originals_hw: size of each image as it was read.
    """
    logits = network(values)[..., : size_hw[0], : size_hw[1]].float()
    pixels = most_pixels(logits.shape[1])
    return [
        upsampled(maps, own_hw, pixels) for maps, own_hw in zip(logits, originals_hw, strict=True)
    ]


def most_pixels(num_classes: int) -> int:
    """Pixels of a block, with K numbers each, that exist at a time."""
    return BLOCK_BYTES // (4 * num_classes)


def windows_of(
    window: SizeHW | int | None, stride: SizeHW | int | None
) -> tuple[SizeHW | None, SizeHW | None]:
    """(height, width) of a sliding window and of its stride, by default two thirds of it.

    Raises:
        ConfigError: a stride alone, or windows that leave gaps.
    """
    if window is None:
        if stride is not None:
            raise ConfigError("stride without window means nothing; give a window, or neither")
        return None, None
    window_hw = (window, window) if isinstance(window, int) else window
    if stride is None:
        stride = (max(1, window_hw[0] * 2 // 3), max(1, window_hw[1] * 2 // 3))
    stride_hw = (stride, stride) if isinstance(stride, int) else stride
    check_windows(window_hw, stride_hw)
    return window_hw, stride_hw


def _softmax(pieces: Pieces) -> Pieces:
    return ((block, logits.softmax(0)) for block, logits in pieces)
