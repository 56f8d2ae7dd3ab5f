"""Labels of an image of any size by a sliding window, in bounded memory.

Logits are summed only where a later window still adds to them. Windows run along a row from left
to right and rows from top to bottom; a pixel that no later window covers becomes a label and its
logits are forgotten. What is kept: the window's own logits, and a strip of as many rows as windows
overlap, as wide as the image.

Legend: K classes, H W image, h w window.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from swinkit.models.segmenting import Model, SizeHW, check_windows, spans

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
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The labels that `slide` gives, of one image, in its own pixels.

    Args:
        model: in evaluation mode; maps `B C h w` to `B K h w`.
        image: (H, W, C), as read; a memory map works too, only windows are ever copied.
        window_hw, stride_hw: of the windows, in pixels.
        prepare: makes a window (h, w, C) the network's input (C, h, w) float32, without resizing.
        batch_size: windows of a row in one pass.
        device: where the model is.
        progress: called with (rows of windows done, all).

    Returns:
        (H, W) uint8, or uint16 for more than 255 classes.

    Raises:
        ConfigError: windows that leave gaps.
    """
    check_windows(window_hw, stride_hw)
    height, width = image.shape[:2]
    rows = spans(height, window_hw[0], stride_hw[0])
    columns = spans(width, window_hw[1], stride_hw[1])
    strip = _Strip(height, width, rows)
    with torch.inference_mode():
        for number, (top, bottom) in enumerate(rows):
            strip.start(number)
            for first in range(0, len(columns), batch_size):
                chunk = columns[first : first + batch_size]
                windows = [prepare(image[top:bottom, left:right]) for left, right in chunk]
                logits = model(torch.from_numpy(np.stack(windows)).to(device))
                for (left, _), maps in zip(chunk, logits.float(), strict=True):
                    strip.add(left, maps)
            strip.finish()
            if progress is not None:
                progress(number + 1, len(rows))
    return strip.labels


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
        pairs = zip(self.rows, self.rows[1:], strict=False)
        shared = max((before[1] - after[0] for before, after in pairs), default=0)
        self.above = logits.new_zeros((logits.shape[0], max(shared, 0), self.width))
        if logits.shape[0] > 255:
            self.labels = self.labels.astype(np.uint16)

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
