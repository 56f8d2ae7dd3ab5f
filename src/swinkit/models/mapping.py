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
from swinkit.images.resizing import resize_linear
from swinkit.models.enlarging import block_read, blocks, enlarge
from swinkit.models.predicting import (
    OnError,
    Opened,
    Progress,
    Source,
    Stopwatch,
    as_list,
    list_sources,
    place_of,
    predict_each,
)
from swinkit.models.segmenting import augmented, check_windows, slide
from swinkit.models.segmenting_stream import slide_labels
from swinkit.models.segmenting_views import (
    MirroredView,
    SlidingView,
    View,
    WholeView,
    mean_labels,
)
from swinkit.results.semantic_map import SemanticMap, label_type

if TYPE_CHECKING:
    from swinkit.models.segmenter import SwinSegmenter

SizeHW = tuple[int, int]

BLOCK_BYTES = 1 << 28  # enlarged logits that exist at a time


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
    progress: Progress | None = None,
) -> Iterator[SemanticMap]:
    """The class of every pixel of images: answers one by one, in the order of the source.

    Only a batch of images is in memory at a time. `SwinSegmenter.predict` gives a list of all.

    Args:
        source: path of an image, a directory (searched recursively; frames of a video in the
            order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image, or a
            list of any of these.
        image_size: short side in pixels that images are scaled to; "original" leaves them as they
            are; None takes the model's.
        window: (height, width), or a side, in pixels of the prepared image: slide over it and
            average where windows overlap. Memory then does not grow with the number of classes
            times the pixels of the image.
        stride: of the window; by default two thirds of it.
        scales: sizes to look at the image in, as factors; their probabilities are averaged.
        flip: look at each scale mirrored as well.
        keep_probabilities: keep (K, H, W) float16 in the result.
        batch_size: images of one size, or windows, in one forward pass.
        on_error: "skip" leaves out images that cannot be read.
        device: moves the model there first; None leaves it where it is.
        keep_images: keep each picture in its result, for `plot`.
        progress: called with (pieces done, all) of an image that is looked at piece by piece.

    Raises:
        ImageError: nothing found, or an unreadable image with on_error="raise".
        ConfigError: settings out of range.
    """
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
        progress=progress,
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


predict_maps = as_list(each_map)


def labels_of(logits: Tensor, output_hw: SizeHW) -> np.ndarray:
    """The labels (H, W) that logits `K h w` have once enlarged bilinearly to `output_hw`.

    Large answers are made block by block, so that the enlarged logits never exist as a whole.
    """
    classes, map_hw = logits.shape[0], (logits.shape[1], logits.shape[2])
    pixels = BLOCK_BYTES // (4 * classes)
    if output_hw[0] * output_hw[1] <= pixels:
        return _labels(_enlarged(logits, output_hw))
    labels = np.empty(output_hw, label_type(classes))
    for block in blocks(output_hw, pixels):
        read = block_read(map_hw, output_hw, block)
        part = logits[:, slice(*read[0]), slice(*read[1])]
        found = _labels(enlarge(part, read, map_hw, output_hw, block))
        labels[slice(*block[0]), slice(*block[1])] = found
    return labels


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
    progress: Progress | None

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
        output_hw = (image.shape[0], image.shape[1])
        if not self.keep_probabilities:
            views = [view for scale in self.scales for view in self._views(image, scale)]
            pixels = BLOCK_BYTES // (4 * self.model.num_classes)
            labels = mean_labels(
                views, output_hw, self.model.num_classes, pixels=pixels, progress=self.progress
            )
            return labels, None
        fit = replace(self.fit, divisor=1)
        probabilities = augmented(
            self.model,
            [self._tensor(fit(image, ratio=scale).values[None]) for scale in self.scales],
            output_hw,
            self.flip,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
        )[0]
        return _labels(probabilities), probabilities.half().cpu().numpy()

    def _views(self, image: np.ndarray, scale: float) -> list[View]:
        """The image in one size, and mirrored if asked."""
        pixels = resize_linear(image, self.fit.size_for((image.shape[0], image.shape[1]), scale))
        found: list[View] = [self._view(pixels)]
        if self.flip:
            found.append(MirroredView(self._view(pixels[:, ::-1])))
        return found

    def _view(self, pixels: np.ndarray) -> View:
        if self.window_hw is None or self.stride_hw is None:
            return WholeView(self.model(self._tensor(self._prepared(pixels)[None]))[0].float())
        device, _ = place_of(self.model)
        return SlidingView(
            model=self._typed,
            image=pixels,
            window_hw=self.window_hw,
            stride_hw=self.stride_hw,
            prepare=self._prepared,
            batch_size=self.batch_size,
            device=device,
        )

    def _streamed(self, image: np.ndarray) -> np.ndarray:
        assert self.window_hw is not None
        assert self.stride_hw is not None
        device, _ = place_of(self.model)
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
        return self.model(values.to(place_of(self.model)[1]))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        """(C, h, w) float32 of pixels that have their size already."""
        fit = replace(self.fit, divisor=1)
        return fit.prepared(pixels, (pixels.shape[0], pixels.shape[1])).values

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
    return scores.argmax(0).cpu().numpy().astype(label_type(scores.shape[0]))


def _enlarged(logits: Tensor, output_hw: SizeHW) -> Tensor:
    if tuple(logits.shape[1:]) == tuple(output_hw):
        return logits
    return F.interpolate(logits[None], size=output_hw, mode="bilinear", align_corners=False)[0]
