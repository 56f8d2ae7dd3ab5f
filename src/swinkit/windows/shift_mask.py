"""The regions that a cyclic shift brings together (A, B, C and the rest), and their mask.

After the roll, a window on the seam holds tokens that were not neighbours on the map. The paper
(section 3.2, figure 4) lets them attend only within their own region.

Legend: T tokens per window, nS windows on the seam, P slots of the padded map.
"""

import torch
from torch import Tensor

from swinkit.windows.layout import WindowLayout

# The references add -100 and not -inf to the logits of forbidden pairs.
FORBIDDEN = -100.0


def region_of_slots(layout: WindowLayout) -> Tensor:
    """(P,) region number of each slot: 0 = not wrapped, 1 = C (wrapped columns), 2 = A or B's
    row counterpart (wrapped rows), 3 = both.

    Two tokens of one window are neighbours on the map exactly when their numbers agree. The
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
    if layout.num_seam == 0:
        return None
    region = region_of_slots(layout).view(layout.num_windows, layout.tokens_per_window)
    region = region[layout.num_windows - layout.num_seam :]
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape, dtype=dtype, device=apart.device).masked_fill_(apart, FORBIDDEN)
