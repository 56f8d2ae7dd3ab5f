"""Sliding windows and means over views as their definitions say, on whole tensors."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.segmentation.sliding import SlidingWindow, coverage, spans
from swinkit.segmentation.upsample import Block
from swinkit.segmentation.views import View

Model = Callable[[Tensor], Tensor]
FILTERS = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(1))


def toy(images: Tensor) -> Tensor:
    """Logits that depend on the neighborhood, so that windows differ from the whole."""
    return F.conv2d(images, FILTERS.to(images), padding=1)


def window_over(
    model: Model,
    image: Tensor,
    window_hw: tuple[int, int] | None = None,
    stride_hw: tuple[int, int] | None = None,
    batch_size: int = 1,
) -> SlidingWindow:
    """A window over `C H W`; by default one as large as it."""
    size_hw = (image.shape[1], image.shape[2])

    def infer(windows: Sequence[Block]) -> Tensor:
        return model(torch.stack([image[:, slice(*y), slice(*x)] for y, x in windows]))

    return SlidingWindow(
        infer=infer,
        size_hw=size_hw,
        window_hw=window_hw or size_hw,
        stride_hw=stride_hw or size_hw,
        batch_size=batch_size,
    )


def plain_slide(
    model: Model, image: Tensor, window_hw: tuple[int, int], stride_hw: tuple[int, int]
) -> Tensor:
    """`C H W` -> `K H W`: sums of the windows' logits over how many windows there are."""
    height, width = image.shape[1:]
    total: Tensor | float = 0.0
    for top, bottom in spans(height, window_hw[0], stride_hw[0]):
        for left, right in spans(width, window_hw[1], stride_hw[1]):
            logits = model(image[None, :, top:bottom, left:right])[0]
            total = total + F.pad(logits, (left, width - right, top, height - bottom))
    rows = coverage(height, window_hw[0], stride_hw[0])
    columns = coverage(width, window_hw[1], stride_hw[1])
    return total / (rows[:, None] * columns)


def plain_mean(
    model: Model,
    images: Sequence[Tensor],
    output_hw: tuple[int, int],
    flip: bool,
    window_hw: tuple[int, int] | None = None,
    stride_hw: tuple[int, int] | None = None,
) -> Tensor:
    """`C H W` in several sizes, mirrored too if asked -> `K *output_hw`, mean probabilities."""
    parts = []
    for image in images:
        for mirrored in (False, True) if flip else (False,):
            seen = image.flip(-1) if mirrored else image
            window = window_hw or (seen.shape[1], seen.shape[2])
            logits = plain_slide(model, seen, window, stride_hw or window)
            # Mirrored back before the resizing, which is not symmetric to the last bit.
            logits = logits.flip(-1) if mirrored else logits
            parts.append(F.interpolate(logits[None], output_hw, mode="bilinear")[0].softmax(0))
    return torch.stack(parts).mean(0)


def views_of(
    model: Model,
    images: Sequence[Tensor],
    flip: bool,
    window_hw: tuple[int, int] | None = None,
    stride_hw: tuple[int, int] | None = None,
    *,
    batch_size: int = 1,
    keep: bool = True,
) -> list[View]:
    """The views that `plain_mean` averages."""
    views = []
    for image in images:
        for mirrored in (False, True) if flip else (False,):
            seen = image.flip(-1) if mirrored else image
            window = window_over(model, seen, window_hw, stride_hw, batch_size)
            views.append(View(window=window, mirrored=mirrored, keep=keep))
    return views


def as_image(pixels: np.ndarray) -> Tensor:
    """(H, W, C) -> `C H W` float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))
