"""Logits of an image of any size through a sliding window, in bounded memory.

Windows step by the stride; the last ones are moved back into the image. Where windows overlap
their logits are averaged. Logits are summed only where a later window still adds to them: windows
run along a row from left to right and rows from top to bottom, and a place that no later window
covers is done. What is kept: the window's own logits, and a strip of as many rows as windows
overlap, as wide as the image. Where that takes less, rows and columns change places.

Legend: B batch, K classes, H W image, h w window.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.segmentation.upsample import Block, Span, whole_block
from swinkit.settings import SizeHW

Infer = Callable[[Sequence[Block]], Tensor]
Advance = Callable[[int], None]  # so many more windows are done


@dataclass(frozen=True, eq=False, kw_only=True)
class SlidingWindow:
    """A window that slides over one image.

    Attributes:
        infer: logits `B K h w` of B parts of the image, all of one size, in memory of their own.
        size_hw: of the image. A window that is larger than the image is the image.
        window_hw, stride_hw: of the window, in pixels.
        batch_size: windows of a row that `infer` is given at a time.

    Raises:
        ConfigError: windows that leave gaps.
    """

    infer: Infer
    size_hw: SizeHW
    window_hw: SizeHW
    stride_hw: SizeHW
    batch_size: int = 1

    def __post_init__(self) -> None:
        check_windows(self.window_hw, self.stride_hw)

    def windows(self, region: Block | None = None) -> tuple[list[Span], list[Span]]:
        """Rows and columns of the windows that lie over a region, by default the image."""
        rows, columns = (
            [span for span in spans(length, window, stride) if span[0] < last and span[1] > first]
            for length, window, stride, (first, last) in zip(
                self.size_hw,
                self.window_hw,
                self.stride_hw,
                region or whole_block(self.size_hw),
                strict=True,
            )
        )
        return rows, columns

    def count(self, region: Block | None = None) -> int:
        """How many windows lie over a region."""
        rows, columns = self.windows(region)
        return len(rows) * len(columns)

    def stream(
        self, region: Block | None = None, advance: Advance | None = None
    ) -> Iterator[tuple[Block, Tensor]]:
        """The averaged logits of a region, piece by piece.

        Args:
            region: of the image; None: all of it.
            advance: called with the windows done since the last call.

        Yields:
            Rectangles that cover the region once, each with its `K rows columns`.
        """
        rows, columns = self.windows(region)
        # The strip lies along the axis in which it is smaller; "rows" are columns if that is the
        # other one.
        turned = _shared(columns) * _extent(rows) < _shared(rows) * _extent(columns)
        across, along = (columns, rows) if turned else (rows, columns)
        strip, counts = _Strip(across, along), self._coverage()
        for number, row in enumerate(across):
            for first in range(0, len(along), self.batch_size):
                chunk = along[first : first + self.batch_size]
                logits = self.infer([(span, row) if turned else (row, span) for span in chunk])
                logits = logits.transpose(2, 3) if turned else logits
                for place, maps in enumerate(logits, start=first):
                    (down, right), sums = strip.add(number, place, maps)
                    block, sums = (
                        ((right, down), sums.transpose(1, 2)) if turned else ((down, right), sums)
                    )
                    inside, sums = _cut(block, sums, region or block)
                    if sums.numel():
                        yield inside, _averaged(inside, sums, counts)
                if advance is not None:
                    advance(len(chunk))

    def logits(self, region: Block | None = None, advance: Advance | None = None) -> Tensor:
        """The averaged logits of a region, `K rows columns`, all at a time."""
        (top, bottom), (left, right) = region or whole_block(self.size_hw)
        whole: Tensor | None = None
        for (rows, columns), maps in self.stream(region, advance):
            if whole is None:
                whole = maps.new_empty((maps.shape[0], bottom - top, right - left))
            whole[:, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = maps
        assert whole is not None, "windows cover every place"
        return whole

    def _coverage(self) -> list[Tensor]:
        return [
            coverage(length, window, stride)
            for length, window, stride in zip(
                self.size_hw, self.window_hw, self.stride_hw, strict=True
            )
        ]


class _Strip:
    """Sums of logits where windows still to come, in a row or in the next one, add to them."""

    def __init__(self, rows: list[Span], columns: list[Span]) -> None:
        self.rows, self.columns = rows, columns
        self.below: Tensor | None = None  # K, shared rows, W: of the rows of windows before
        self.beside: Tensor | None = None  # K h, shared columns: of the windows before in this row

    def add(self, row: int, column: int, maps: Tensor) -> tuple[Block, Tensor]:
        """Add the next window's `K h w`; the part that is done, and its sums."""
        (top, bottom), (left, right) = self.rows[row], self.columns[column]
        if self.below is None:
            shape = (maps.shape[0], _shared(self.rows), _extent(self.columns))
            self.below = maps.new_empty(shape)
        if self.beside is not None:
            maps[..., : self.beside.shape[2]] += self.beside
        end, self.beside = right, None
        if column + 1 < len(self.columns):
            end = self.columns[column + 1][0]
            self.beside = maps[..., end - left :].clone()  # the rest of the window need not stay
        maps = maps[..., : end - left]
        strip = self.below[..., left - self.columns[0][0] : end - self.columns[0][0]]
        if row > 0:
            shared = self.rows[row - 1][1] - top
            maps[:, :shared] += strip[:, :shared]
        done = bottom
        if row + 1 < len(self.rows):
            done = self.rows[row + 1][0]
            strip[:, : bottom - done] = maps[:, done - top :]
        return ((top, done), (left, end)), maps[:, : done - top]


def spans(length: int, window: int, stride: int) -> list[Span]:
    """(first, last + 1) of the windows along one axis, the last one moved back to fit."""
    steps = max(-(-(length - window) // stride), 0) + 1
    firsts = [max(min(step * stride, length - window), 0) for step in range(steps)]
    return [(first, min(first + window, length)) for first in firsts]


def coverage(length: int, window: int, stride: int) -> Tensor:
    """(length,) float32: how many windows lie over each place of one axis."""
    counts = torch.zeros(length)
    for first, last in spans(length, window, stride):
        counts[first:last] += 1
    return counts


def check_windows(window_hw: SizeHW, stride_hw: SizeHW) -> None:
    """Refuse windows that leave gaps.

    Raises:
        ConfigError: a stride longer than the window, or sizes below 1.
    """
    if any(not 1 <= step <= side for step, side in zip(stride_hw, window_hw, strict=True)):
        raise ConfigError(
            f"window is {window_hw} and stride {stride_hw} (height, width); a stride must be at "
            "least 1 and no longer than its window"
        )


def _shared(rows: list[Span]) -> int:
    """The largest overlap of neighbors; the last ones, moved back to fit, can share most."""
    return max((max(before[1] - after[0], 0) for before, after in pairwise(rows)), default=0)


def _extent(rows: list[Span]) -> int:
    return rows[-1][1] - rows[0][0]


def _cut(block: Block, maps: Tensor, region: Block) -> tuple[Block, Tensor]:
    """What of a block's `K rows columns` lies in the region."""
    rows, columns = (
        (max(first, low), max(first, low, min(last, high)))
        for (first, last), (low, high) in zip(block, region, strict=True)
    )
    (top, _), (left, _) = block
    return (rows, columns), maps[
        :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left
    ]


def _averaged(block: Block, sums: Tensor, counts: Sequence[Tensor]) -> Tensor:
    down, across = (count[slice(*span)] for count, span in zip(counts, block, strict=True))
    over = down[:, None] * across
    return sums if over.max() == 1 else sums.div_(over.to(sums.device))
