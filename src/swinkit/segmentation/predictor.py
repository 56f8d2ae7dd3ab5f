"""The ways from an image to its semantic map: whole, sliding window, several views.

Legend: C channels, H W pixels of the original image, h w of the network's input, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from swinkit.images.fitting import Fit, Fitted, resize_linear
from swinkit.segmentation.result import SemanticMap
from swinkit.segmentation.sliding import augmented, slide
from swinkit.segmentation.sliding_labels import slide_labels
from swinkit.segmentation.upsample import best_labels, enlarged_to, labels_of
from swinkit.segmentation.views import (
    KeptView,
    MirroredView,
    SlidingView,
    View,
    mean_labels,
)
from swinkit.settings import SizeHW
from swinkit.task.base import Progress
from swinkit.task.predicting import InputImage, Stopwatch, device_and_dtype

if TYPE_CHECKING:
    from swinkit.segmentation.model import SwinSegmenter


BLOCK_BYTES = 1 << 28  # enlarged logits that exist at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class Mapper:
    """How one segmenter is asked, and its answers put together.

    Attributes:
        model: in evaluation mode.
        fit: how images are prepared.
        window_hw, stride_hw: of a sliding window, or None.
        scales, flip: the views of an image.
        keep_probabilities: answer with the scores too.
        batch_size: windows in one pass.
        progress: called with the pieces of an image that are done, and all.
    """

    model: "SwinSegmenter"
    fit: Fit
    window_hw: SizeHW | None
    stride_hw: SizeHW | None
    scales: tuple[float, ...]
    flip: bool
    keep_probabilities: bool
    batch_size: int
    progress: Progress | None

    def results(self, batch: Sequence[InputImage[SizeHW]], keep_images: bool) -> list[SemanticMap]:
        """The semantic map of each image of a batch."""
        results = []
        # Padding would change a map, so that only neighbours of one size go together.
        for _, same_size in groupby(batch, key=lambda image: image.prepared):
            images = list(same_size)
            watch = Stopwatch()
            found = self._maps([image.pixels for image in images])
            seconds = watch.share(len(images))
            results += [
                SemanticMap(
                    class_names=self.model.class_names,
                    labels=labels,
                    probabilities=probabilities,
                    source=image.name,
                    image_rgb=image.picture(keep_images),
                    seconds=seconds,
                )
                for image, (labels, probabilities) in zip(images, found, strict=True)
            ]
        return results

    def _maps(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        several = self.scales != (1.0,) or self.flip
        if not self.keep_probabilities and (several or self.window_hw is not None):
            return [(self._bounded(image), None) for image in images]
        if several:
            return [self._augmented(image) for image in images]
        fitted = [self.fit(image) for image in images]
        return [
            self._finished(logits, one.original_hw)
            for logits, one in zip(self._logits(fitted), fitted, strict=True)
        ]

    def _logits(self, fitted: Sequence[Fitted]) -> Tensor:
        """`B K h w`, without the padding."""
        height, width = fitted[0].size_hw
        values = self._tensor(np.stack([one.values for one in fitted]))
        if self.window_hw is None or self.stride_hw is None:
            logits = self.model(values)
        else:
            logits = slide(self.model, values[..., :height, :width], self.window_hw, self.stride_hw)
        return logits[..., :height, :width].float()

    def _finished(self, logits: Tensor, output_hw: SizeHW) -> tuple[np.ndarray, np.ndarray | None]:
        if not self.keep_probabilities:
            return labels_of(logits, output_hw, self._most_pixels), None
        enlarged = enlarged_to(logits, output_hw)
        return best_labels(enlarged), enlarged.softmax(0).half().cpu().numpy()

    def _bounded(self, image: np.ndarray) -> np.ndarray:
        """Labels by windows or of several views, without scores of all pixels at a time."""
        output_hw = (image.shape[0], image.shape[1])
        one = self.scales == (1.0,) and not self.flip
        if one and self.window_hw is not None and self.fit.size_for(output_hw) == output_hw:
            return self._streamed(image)
        return mean_labels(
            [view for scale in self.scales for view in self._views(image, scale)],
            output_hw,
            self.model.num_classes,
            pixels=self._most_pixels,
            progress=self.progress,
        )

    @property
    def _most_pixels(self) -> int:
        """Pixels with K scores each that fill a block."""
        return BLOCK_BYTES // (4 * self.model.num_classes)

    def _augmented(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        output_hw = (image.shape[0], image.shape[1])
        fit = replace(self.fit, divisor=1)
        probabilities = augmented(
            self.model,
            [self._tensor(fit(image, ratio=scale).values[None]) for scale in self.scales],
            output_hw,
            self.flip,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
        )[0]
        return best_labels(probabilities), probabilities.half().cpu().numpy()

    def _views(self, image: np.ndarray, scale: float) -> list[View]:
        """The image in one size, and mirrored if asked."""
        pixels = resize_linear(image, self.fit.size_for((image.shape[0], image.shape[1]), scale))
        found: list[View] = [self._view(pixels)]
        if self.flip:
            found.append(MirroredView(self._view(pixels[:, ::-1])))
        return found

    def _view(self, pixels: np.ndarray) -> View:
        device, _ = device_and_dtype(self.model)
        size_hw = (pixels.shape[0], pixels.shape[1])
        view = SlidingView(
            model=self._typed,
            image=pixels,
            window_hw=self.window_hw or size_hw,
            stride_hw=self.stride_hw or size_hw,
            prepare=self._prepared,
            batch_size=self.batch_size,
            device=device,
        )
        small = pixels.shape[0] * pixels.shape[1] <= self._most_pixels
        return KeptView(view) if small or self.window_hw is None else view

    def _streamed(self, image: np.ndarray) -> np.ndarray:
        assert self.window_hw is not None
        assert self.stride_hw is not None
        device, _ = device_and_dtype(self.model)
        return slide_labels(
            self._typed,
            image,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
            prepare=self._prepared,
            batch_size=self.batch_size,
            device=device,
            progress=self.progress,
        )

    def _typed(self, values: Tensor) -> Tensor:
        """The model, of input of any type."""
        return self.model(values.to(device_and_dtype(self.model)[1]))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        """(C, h, w) float32 of pixels that have their size already."""
        fit = replace(self.fit, divisor=1)
        return fit.prepared(pixels, (pixels.shape[0], pixels.shape[1])).values

    def _tensor(self, values: np.ndarray) -> Tensor:
        device, dtype = device_and_dtype(self.model)
        return torch.from_numpy(values).to(device, dtype)
