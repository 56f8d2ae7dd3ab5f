"""Labels of an image of any size by a sliding window, in bounded memory.

Logits are summed only where a later window still adds to them. Windows run along a row from left
to right and rows from top to bottom; a pixel that no later window covers becomes a label and its
logits are forgotten. What is kept: the window's own logits, and a strip of as many rows as windows
overlap, as wide as the image. Where that takes less, rows and columns change places.

Legend: K classes, H W image, h w window.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from swinkit.segmentation.result import label_type
from swinkit.segmentation.sliding import Model, check_windows, spans
from swinkit.settings import SizeHW
from swinkit.task.base import Progress

Prepare = Callable[[np.ndarray], np.ndarray]


def slide_labels(
    model: Model,
    image: np.ndarray,
    *,
    window_hw: SizeHW,
    stride_hw: SizeHW,
    prepare: Prepare,
    batch_size: int = 1,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """The labels that `slide` gives, of one image, in its own pixels.

    Args:
        model: in evaluation mode; maps `B C h w` to `B K h w`.
        image: (H, W, C), as read; a memory map works too, only windows are ever copied.
        window_hw, stride_hw: of the windows, in pixels.
        prepare: makes a window (h, w, C) the network's input (C, h, w) float32, without resizing.
        batch_size: windows of a row in one pass.
        device: where the model is.
        progress: called with (windows done, all).

    Returns:
        (H, W) uint8, or uint16 for more than 256 classes.

    Raises:
        ConfigError: windows that leave gaps.
    """
    check_windows(window_hw, stride_hw)
    height, width = image.shape[:2]
    down = spans(height, window_hw[0], stride_hw[0])
    right = spans(width, window_hw[1], stride_hw[1])
    # The strip lies along the axis in which it is smaller; "rows" are columns if that is the other.
    turned = _shared(right) * height < _shared(down) * width
    strip = _Strip(width, height, right) if turned else _Strip(height, width, down)
    along = down if turned else right
    with torch.inference_mode():
        for number, across in enumerate(strip.rows):
            strip.start(number)
            for first in range(0, len(along), batch_size):
                chunk = along[first : first + batch_size]
                places = [(span, across) if turned else (across, span) for span in chunk]
                windows = [prepare(image[slice(*y), slice(*x)]) for y, x in places]
                logits = model(torch.from_numpy(np.stack(windows)).to(device)).float()
                logits = logits.transpose(2, 3) if turned else logits
                for (start, _), maps in zip(chunk, logits, strict=True):
                    strip.add(start, maps)
                if progress is not None:
                    done = number * len(along) + first + len(chunk)
                    progress(done, len(strip.rows) * len(along))
            strip.finish()
    return np.ascontiguousarray(strip.labels.T) if turned else strip.labels


def _shared(rows: list[tuple[int, int]]) -> int:
    """The largest overlap of neighbours; the last ones, moved back to fit, can share most."""
    return max((before[1] - after[0] for before, after in pairwise(rows)), default=0)


class _Strip:
    """Sums of logits of one row of windows, and of the rows that it shares with the next."""

    def __init__(self, height: int, width: int, rows: list[tuple[int, int]]) -> None:
        self.rows = rows
        self.labels = np.zeros((height, width), np.uint8)
        self.width = width
        self.above: Tensor | None = None  # K, shared rows, W: sums of the rows of windows before
        self.block: Tensor | None = None  # K h w: sums of this row's windows, from `left` on
        self.number = self.left = 0

    def start(self, number: int) -> None:
        """Begin the row of windows `number`."""
        self.number, self.left, self.block = number, 0, None

    def add(self, left: int, logits: Tensor) -> None:
        """Add a window `K h w` whose left edge is `left`; columns before it are complete."""
        if self.above is None:
            self._allocate(logits)
        if self.block is None:
            self.block = logits.clone()
        else:
            moved = left - self.left
            self._release(self.block[..., :moved])
            kept = self.block[..., moved:]
            self.block = logits.clone()
            self.block[..., : kept.shape[-1]] += kept
        self.left = left

    def finish(self) -> None:
        """The last window of a row has been added."""
        if self.block is not None:
            self._release(self.block)

    def _allocate(self, logits: Tensor) -> None:
        shared = max(_shared(self.rows), 0)
        self.above = logits.new_zeros((logits.shape[0], shared, self.width))
        self.labels = self.labels.astype(label_type(logits.shape[0]))

    def _release(self, sums: Tensor) -> None:
        """Columns from `left` on, complete in this row: label the upper rows, keep the lower."""
        assert self.above is not None
        top, bottom = self.rows[self.number]
        columns = slice(self.left, self.left + sums.shape[-1])
        if self.number > 0:
            shared = self.rows[self.number - 1][1] - top
            sums[:, :shared] += self.above[:, :shared, columns]
        last = self.number + 1 == len(self.rows)
        done = bottom if last else self.rows[self.number + 1][0]
        # Every class of a pixel was summed equally often: the largest sum is the largest mean.
        found = sums[:, : done - top].argmax(0).cpu().numpy()
        self.labels[top:done, columns] = found.astype(self.labels.dtype)
        if not last:
            self.above[:, : bottom - done, columns] = sums[:, done - top :]
