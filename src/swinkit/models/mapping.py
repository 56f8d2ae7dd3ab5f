"""From images to semantic maps: whole, sliding window, several scales and mirrored.

Legend: C channels, H W pixels of the original image, h w of the network's input, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit, Fitted
from swinkit.models.predicting import (
    OnError,
    Opened,
    Source,
    Stopwatch,
    list_sources,
    place_of,
    predict_each,
)
from swinkit.models.segmenting import augmented, check_windows, slide
from swinkit.models.segmenting_stream import slide_labels
from swinkit.results.semantic_map import SemanticMap

if TYPE_CHECKING:
    from swinkit.models.segmenter import SwinSegmenter

SizeHW = tuple[int, int]

STRIP_BYTES = 1 << 28  # enlarged logits that exist at a time
EIGHT_BITS = 256  # classes whose labels fit in a byte


def predict_maps(
    model: "SwinSegmenter",
    source: Source,
    *,
    image_size: int | Literal["original"] | None = None,
    window: SizeHW | int | None = None,
    stride: SizeHW | int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    keep_probabilities: bool = False,
    batch_size: int = 1,
    on_error: OnError = "raise",
    device: str | torch.device | None = None,
    keep_images: bool = True,
) -> list[SemanticMap]:
    """The class of every pixel of images; always a list, in the order of the source.

    Args:
        source: path of an image, a directory (searched recursively; frames of a video in the
            order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image, or a
            list of any of these.
        image_size: short side in pixels that images are scaled to; "original" leaves them as they
            are; None takes the model's.
        window: (height, width), or a side, in pixels of the prepared image: slide over it and
            average where windows overlap. With images in their own size, memory does not grow with
            the image beyond its labels and a strip of logits.
        stride: of the window; by default two thirds of it.
        scales: sizes to look at the image in, as factors; their probabilities are averaged.
        flip: look at each scale mirrored as well.
        keep_probabilities: keep (K, H, W) float16 in the result.
        batch_size: images of one size, or windows, in one forward pass.
        on_error: "skip" leaves out images that cannot be read.
        device: moves the model there first; None leaves it where it is.
        keep_images: keep each picture in its result, for `plot`.

    Raises:
        ImageError: nothing found, or an unreadable image with on_error="raise".
        ConfigError: settings out of range.
    """
    return list(
        each_map(
            model,
            source,
            image_size=image_size,
            window=window,
            stride=stride,
            scales=scales,
            flip=flip,
            keep_probabilities=keep_probabilities,
            batch_size=batch_size,
            on_error=on_error,
            device=device,
            keep_images=keep_images,
        )
    )


def each_map(
    model: "SwinSegmenter",
    source: Source,
    *,
    image_size: int | Literal["original"] | None = None,
    window: SizeHW | int | None = None,
    stride: SizeHW | int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    keep_probabilities: bool = False,
    batch_size: int = 1,
    on_error: OnError = "raise",
    device: str | torch.device | None = None,
    keep_images: bool = True,
) -> Iterator[SemanticMap]:
    """`predict_maps` one by one: only a batch of images is in memory at a time."""
    channels = model.config.backbone.in_channels
    fit = model.info.any_size.for_channels(channels)
    window_hw, stride_hw = _windows(window, stride)
    if not scales or min(scales) <= 0:
        raise ConfigError(f"scales is {tuple(scales)}; give factors above 0, such as 0.75 1 1.25")
    mapper = _Mapper(
        model=model,
        fit=fit if image_size is None else fit.of_size(image_size),
        window_hw=window_hw,
        stride_hw=stride_hw,
        scales=tuple(scales),
        flip=flip,
        keep_probabilities=keep_probabilities,
        batch_size=batch_size,
    )
    return predict_each(
        model,
        list_sources(source),
        lambda pixels, _: mapper.fit.size_for((pixels.shape[0], pixels.shape[1])),
        lambda batch: mapper.results(batch, keep_images),
        channels=channels,
        batch_size=batch_size,
        on_error=on_error,
        device=device,
    )


def labels_of(logits: Tensor, output_hw: SizeHW) -> np.ndarray:
    """The labels (H, W) that logits `K h w` have once enlarged bilinearly to `output_hw`.

    Large answers are made strip by strip, so that the enlarged logits never exist as a whole.
    """
    classes = logits.shape[0]
    rows = max(1, STRIP_BYTES // (4 * classes * output_hw[1]))
    if rows >= output_hw[0]:
        return _labels(_enlarged(logits, output_hw))
    strips = [
        _labels(_enlarged_rows(logits, output_hw, start, min(start + rows, output_hw[0])))
        for start in range(0, output_hw[0], rows)
    ]
    return np.concatenate(strips)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Mapper:
    model: "SwinSegmenter"
    fit: Fit
    window_hw: SizeHW | None
    stride_hw: SizeHW | None
    scales: tuple[float, ...]
    flip: bool
    keep_probabilities: bool
    batch_size: int

    def results(self, batch: Sequence[Opened[SizeHW]], keep_images: bool) -> list[SemanticMap]:
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
        if self.scales != (1.0,) or self.flip:
            return [self._augmented(image) for image in images]
        if self.window_hw is not None and not self.keep_probabilities:
            original_hw = (images[0].shape[0], images[0].shape[1])
            if self.fit.size_for(original_hw) == original_hw:
                return [(self._streamed(image), None) for image in images]
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
            return labels_of(logits, output_hw), None
        enlarged = _enlarged(logits, output_hw)
        return _labels(enlarged), enlarged.softmax(0).half().cpu().numpy()

    def _augmented(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        views = [replace(self.fit, divisor=1)(image, ratio=scale) for scale in self.scales]
        probabilities = augmented(
            self.model,
            [self._tensor(view.values[None]) for view in views],
            (image.shape[0], image.shape[1]),
            self.flip,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
        )[0]
        kept = probabilities.half().cpu().numpy() if self.keep_probabilities else None
        return _labels(probabilities), kept

    def _streamed(self, image: np.ndarray) -> np.ndarray:
        assert self.window_hw is not None
        assert self.stride_hw is not None
        fit = replace(self.fit, divisor=1)
        device, dtype = place_of(self.model)
        return slide_labels(
            lambda values: self.model(values.to(dtype)),
            image,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
            prepare=lambda window: fit.prepared(window, (window.shape[0], window.shape[1])).values,
            batch_size=self.batch_size,
            device=device,
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        device, dtype = place_of(self.model)
        return torch.from_numpy(values).to(device, dtype)


def _windows(
    window: SizeHW | int | None, stride: SizeHW | int | None
) -> tuple[SizeHW | None, SizeHW | None]:
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


def _labels(scores: Tensor) -> np.ndarray:
    """`K H W` -> (H, W) of the best class."""
    found = scores.argmax(0)
    small = scores.shape[0] <= EIGHT_BITS
    return found.to(torch.uint8 if small else torch.int32).cpu().numpy()


def _enlarged(logits: Tensor, output_hw: SizeHW) -> Tensor:
    if tuple(logits.shape[1:]) == tuple(output_hw):
        return logits
    return F.interpolate(logits[None], size=output_hw, mode="bilinear", align_corners=False)[0]


def _enlarged_rows(logits: Tensor, output_hw: SizeHW, start: int, stop: int) -> Tensor:
    """Rows `start` to `stop` of what `_enlarged` gives."""
    height = logits.shape[1]
    places = torch.arange(start, stop, device=logits.device, dtype=torch.float32) + 0.5
    places = (places * (height / output_hw[0]) - 0.5).clamp(min=0)
    above = places.long().clamp(max=height - 1)
    below = (above + 1).clamp(max=height - 1)
    share = (places - above)[:, None]
    mixed = logits[:, above] * (1 - share) + logits[:, below] * share
    return _enlarged(mixed, (stop - start, output_hw[1]))
