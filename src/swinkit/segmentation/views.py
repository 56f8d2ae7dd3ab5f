"""Labels from the mean probabilities of several views of an image, in bounded memory.

A view is the image in another size, perhaps mirrored, seen through windows or through one as large
as itself. The mean needs all views at the same pixels, but not all pixels at a time: block by block
of the answer, each view is asked for the logits that the block reads. A small view keeps them all;
a large one makes them then, and looks twice through windows across a border between blocks.

Legend: C channels, K classes, H W image, h w view.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from swinkit.segmentation.result import label_type
from swinkit.segmentation.sliding import Model, coverage, spans
from swinkit.segmentation.sliding_labels import Prepare
from swinkit.segmentation.upsample import Block, best_labels, block_read, blocks, enlarge
from swinkit.settings import SizeHW
from swinkit.task.base import Progress

Seen = Callable[[int], None]  # so many more windows are done


class View(Protocol):
    """Logits of an image in some size."""

    @property
    def size_hw(self) -> SizeHW: ...

    def looks(self, blocks: Sequence[Block]) -> int:
        """Windows that are looked through for these parts of the view, one after the other."""

    def logits(self, block: Block, seen: Seen) -> Tensor:
        """`K rows columns` of a part of the view."""


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

    def windows(self, block: Block) -> list[Block]:
        """Those that lie over a part of the view."""
        rows, columns = (
            [span for span in spans(length, window, stride) if span[0] < last and span[1] > first]
            for length, window, stride, (first, last) in zip(
                self.size_hw, self.window_hw, self.stride_hw, block, strict=True
            )
        )
        return [(down, across) for down in rows for across in columns]

    def looks(self, blocks: Sequence[Block]) -> int:
        return sum(len(self.windows(block)) for block in blocks)

    def logits(self, block: Block, seen: Seen) -> Tensor:
        windows = self.windows(block)
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
            seen(len(chunk))
        assert total is not None, "windows cover every place"
        down, across = (
            coverage(length, window, stride, total.device)[slice(*span)]
            for length, window, stride, span in zip(
                self.size_hw, self.window_hw, self.stride_hw, block, strict=True
            )
        )
        return total.div_(down[:, None] * across)


@dataclass(eq=False)
class KeptView:
    """A view whose logits are made once, all of them, and kept."""

    view: View
    maps: Tensor | None = None  # K h w

    @property
    def size_hw(self) -> SizeHW:
        return self.view.size_hw

    def looks(self, blocks: Sequence[Block]) -> int:
        return self.view.looks([self._all])

    def logits(self, block: Block, seen: Seen) -> Tensor:
        if self.maps is None:
            self.maps = self.view.logits(self._all, seen)
        return self.maps[:, slice(*block[0]), slice(*block[1])]

    @property
    def _all(self) -> Block:
        height, width = self.size_hw
        return (0, height), (0, width)


@dataclass(frozen=True, eq=False)
class MirroredView:
    """A view of the mirrored image, told as one of the image itself."""

    mirrored: View

    @property
    def size_hw(self) -> SizeHW:
        return self.mirrored.size_hw

    def looks(self, blocks: Sequence[Block]) -> int:
        return self.mirrored.looks([self._turned(block) for block in blocks])

    def logits(self, block: Block, seen: Seen) -> Tensor:
        return self.mirrored.logits(self._turned(block), seen).flip(-1)

    def _turned(self, block: Block) -> Block:
        rows, (left, right) = block
        width = self.size_hw[1]
        return rows, (width - right, width - left)


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
        progress: called with (windows done, all).

    Returns:
        (H, W) uint8, or uint16 for more than 256 classes.
    """
    labels = np.empty(output_hw, label_type(num_classes))
    parts = list(blocks(output_hw, pixels))
    reads = [[block_read(view.size_hw, output_hw, part) for part in parts] for view in views]
    looks = sum(view.looks(read) for view, read in zip(views, reads, strict=True))
    done = 0

    def seen(number: int) -> None:
        nonlocal done
        done += number
        if progress is not None:
            progress(done, looks)

    with torch.inference_mode():
        for block, *read in zip(parts, *reads, strict=True):
            total: Tensor | float = 0.0
            for view, part in zip(views, read, strict=True):
                # Without names, so that nothing of a view outlives its turn.
                total += enlarge(
                    view.logits(part, seen), part, view.size_hw, output_hw, block
                ).softmax(0)
            assert isinstance(total, Tensor)
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
