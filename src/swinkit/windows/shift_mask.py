"""The regions that a cyclic shift brings together (A, B, C and the rest), and their mask.

After the roll, a window on the seam holds tokens that were not neighbors on the map. The paper
(section 3.2, figure 4) lets them attend only within their own region.

Legend: C channels, T tokens per window, nW windows, nS windows on the seam (they stand last),
P = nW * T slots of the padded map.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from swinkit.windows.layout import WindowLayout, is_fixed

# The references add -100 and not -inf to the logits of forbidden pairs.
FORBIDDEN = -100.0


def region_of_slots(layout: WindowLayout) -> Tensor:
    """(P,) region number of each slot: 0 = not wrapped, 1 = wrapped columns (B in the paper's
    figure 4), 2 = wrapped rows (C), 3 = both (A).

    Two tokens of one window are neighbors on the map exactly when their numbers agree. The
    references paint three bands per axis; inside a window only the last edge can be crossed, so
    one bit per axis says the same.
    """
    row, column = layout.slot_coordinates()
    # The roll by -shift carries the first `shift` rows and columns to the far edge.
    wrapped_row = row < layout.shift_hw[0]
    wrapped_column = column < layout.shift_hw[1]
    return 2 * wrapped_row.long() + wrapped_column.long()


def shift_mask(layout: WindowLayout, dtype: torch.dtype = torch.float32) -> Tensor | None:
    """(nS, T, T) to add to the logits of the last nS windows, or None without a shift."""
    if is_fixed(layout.num_seam) and layout.num_seam == 0:
        return None
    region = region_of_slots(layout).view(layout.num_windows, layout.tokens_per_window)
    region = region[layout.num_windows - layout.num_seam :]  # nS T
    apart = region[:, :, None] != region[:, None, :]  # nS T T
    return torch.zeros(apart.shape, dtype=dtype, device=apart.device).masked_fill_(apart, FORBIDDEN)


@dataclass(frozen=True, eq=False, slots=True)
class WindowGeometry:
    """What a block must know of the windows beside their tokens.

    Attributes:
        num_windows: nW.
        padding: (P,) bool, the slots that hold padding; None on a map that needs none.
        mask: (nS, T, T) for the last nS windows, or None without a shift.
    """

    num_windows: int
    padding: Tensor | None = None
    mask: Tensor | None = None

    @staticmethod
    def of(layout: WindowLayout) -> "WindowGeometry":
        padding = layout.padding() if layout.is_padded else None
        return WindowGeometry(layout.num_windows, padding, shift_mask(layout))

    def windows_of(self, tokens: Tensor) -> Tensor:
        """`B P C` -> `B nW T C` with padding at zero."""
        if self.padding is not None:
            tokens = tokens.masked_fill(self.padding[:, None], 0.0)
        return tokens.unflatten(1, (self.num_windows, -1))

    def part(self, first: int, last: int) -> "WindowGeometry":
        """The geometry of windows first...last-1 alone."""
        padding = mask = None
        if self.padding is not None:
            tokens = self.padding.numel() // self.num_windows  # T
            padding = self.padding[first * tokens : last * tokens]
        if self.mask is not None:
            before_seam = self.num_windows - self.mask.shape[0]
            mask = self.mask[max(first - before_seam, 0) : max(last - before_seam, 0)]
            mask = mask if mask.shape[0] else None
        return WindowGeometry(last - first, padding, mask)
