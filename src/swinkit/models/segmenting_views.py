"""Labels from the mean probabilities of several views of an image, in bounded memory.

A view is the image in another size, perhaps mirrored, seen whole or through a sliding window. The
mean needs all views at the same pixels, but not all pixels at a time: block by block of the
answer, each view is asked for the logits that the block reads. A whole view has them; a sliding
window makes them then, and looks twice where it lies across a border between blocks.

Legend: C channels, K classes, H W image, h w view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from swinkit.models.enlarging import Block, best_labels, block_read, blocks, enlarge
from swinkit.models.predicting import Progress
from swinkit.models.segmenting import Model, SizeHW, coverage, spans
from swinkit.models.segmenting_stream import Prepare
from swinkit.results.semantic_map import label_type


class View(Protocol):
    """Logits of an image in some size."""

    @property
    def size_hw(self) -> SizeHW: ...

    def logits(self, block: Block) -> Tensor:
        """`K rows columns` of a part of the view."""


@dataclass(frozen=True, eq=False)
class WholeView:
    """A view that was seen in one pass: `K h w`."""

    maps: Tensor

    @property
    def size_hw(self) -> SizeHW:
        return self.maps.shape[1], self.maps.shape[2]

    def logits(self, block: Block) -> Tensor:
        return self.maps[:, slice(*block[0]), slice(*block[1])]


@dataclass(frozen=True, eq=False, kw_only=True)
class SlidingView:
    """A view seen through a sliding window, averaged where windows overlap.

    Attributes:
        model: maps `B C h w` to `B K h w`.
        image: (h, w, C) in the size of the view, as read.
        window_hw, stride_hw: of the windows, in its pixels.
        prepare: makes a window the network's input (C, h, w) float32.
        batch_size: windows in one pass.
        device: where the model is.
    """

    model: Model
    image: np.ndarray
    window_hw: SizeHW
    stride_hw: SizeHW
    prepare: Prepare
    batch_size: int = 1
    device: torch.device | str | None = None

    @property
    def size_hw(self) -> SizeHW:
        return self.image.shape[0], self.image.shape[1]

    def logits(self, block: Block) -> Tensor:
        rows, columns = (
            [span for span in spans(length, window, stride) if span[0] < last and span[1] > first]
            for length, window, stride, (first, last) in zip(
                self.size_hw, self.window_hw, self.stride_hw, block, strict=True
            )
        )
        windows = [(down, across) for down in rows for across in columns]
        (top, bottom), (left, right) = block
        total: Tensor | None = None
        for start in range(0, len(windows), self.batch_size):
            chunk = windows[start : start + self.batch_size]
            images = [self.prepare(self.image[slice(*y), slice(*x)]) for y, x in chunk]
            maps = self.model(torch.from_numpy(np.stack(images)).to(self.device)).float()
            if total is None:
                total = maps.new_zeros((maps.shape[1], bottom - top, right - left))
            for (y, x), logits in zip(chunk, maps, strict=True):
                _add(total, (top, left), logits, (y[0], x[0]))
        assert total is not None, "windows cover every place"
        down, across = (
            coverage(length, window, stride, total.device)[slice(*span)]
            for length, window, stride, span in zip(
                self.size_hw, self.window_hw, self.stride_hw, block, strict=True
            )
        )
        return total.div_(down[:, None] * across)


@dataclass(frozen=True, eq=False)
class MirroredView:
    """A view of the mirrored image, told as one of the image itself."""

    mirrored: View

    @property
    def size_hw(self) -> SizeHW:
        return self.mirrored.size_hw

    def logits(self, block: Block) -> Tensor:
        rows, (left, right) = block
        width = self.size_hw[1]
        return self.mirrored.logits((rows, (width - right, width - left))).flip(-1)


def mean_labels(
    views: Sequence[View],
    output_hw: SizeHW,
    num_classes: int,
    *,
    pixels: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """The class of the highest mean probability of every pixel.

    Args:
        views: of one image; each is enlarged to the answer before its softmax.
        output_hw: size of the answer.
        num_classes: K.
        pixels: of a block; several times K numbers exist for each of them.
        progress: called with (blocks of views done, all).

    Returns:
        (H, W) uint8, or uint16 for more than 256 classes.
    """
    labels = np.empty(output_hw, label_type(num_classes))
    parts = list(blocks(output_hw, pixels))
    with torch.inference_mode():
        for number, block in enumerate(parts):
            total: Tensor | None = None
            for place, view in enumerate(views):
                read = block_read(view.size_hw, output_hw, block)
                maps = enlarge(view.logits(read), read, view.size_hw, output_hw, block)
                probabilities = maps.softmax(0)
                total = probabilities if total is None else total.add_(probabilities)
                if progress is not None:
                    progress(number * len(views) + place + 1, len(parts) * len(views))
            assert total is not None
            labels[slice(*block[0]), slice(*block[1])] = best_labels(total)
    return labels


def _add(total: Tensor, corner: tuple[int, int], logits: Tensor, at: tuple[int, int]) -> None:
    """Add `K h w` logits that begin at `at` where they lie in a total that begins at `corner`."""
    (top, left), (height, width) = corner, total.shape[1:]
    rows = max(at[0], top), min(at[0] + logits.shape[1], top + height)
    columns = max(at[1], left), min(at[1] + logits.shape[2], left + width)
    total[:, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] += logits[
        :, rows[0] - at[0] : rows[1] - at[0], columns[0] - at[1] : columns[1] - at[1]
    ]
