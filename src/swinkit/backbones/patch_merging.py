"""Patch merging (paper, section 3.1): 2 x 2 neighbors become one token, C channels become 2C.

Legend: B batch, C channels of the stage before, P slots before, P' slots after.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from swinkit.windows.layout import TokenMove, WindowLayout, move_tokens

# Order in which the checkpoints concatenate a 2 x 2 neighborhood: (row, column) offsets.
NEIGHBORS = ((0, 0), (1, 0), (0, 1), (1, 1))


def merging_move(before: WindowLayout, after: WindowLayout) -> TokenMove:
    """The gather of each merged token's four children, straight from one stage's window order
    into the next one's; neighbors outside an odd map are zero tokens. P -> P' * 4 places.
    """
    row, column = after.slot_coordinates()
    children = torch.stack(
        [before.tokens_at(2 * row + down, 2 * column + right) for down, right in NEIGHBORS], dim=1
    )
    children = children.masked_fill(after.padding()[:, None], -1)  # P' 4
    return TokenMove.of(children, before.num_slots, fixed=before.fixed)


class PatchMerging(nn.Module):
    """Concatenate 2 x 2 neighbors and reduce 4C to 2C.

    V1: reduction(norm(x)), norm over 4C; V2: norm(reduction(x)), norm over 2C.
    Source: PatchMerging in models/swin_transformer.py and models/swin_transformer_v2.py.
    """

    def __init__(self, channels: int, *, version: Literal[1, 2]) -> None:
        super().__init__()
        self.version = version
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels if version == 1 else 2 * channels)

    def forward(self, tokens: Tensor, move: TokenMove) -> Tensor:
        """`B P C` in the order of the stage before -> `B P' 2C` in the order of the next."""
        children = move_tokens(tokens, move)  # B P'*4 C
        children = children.unflatten(1, (-1, len(NEIGHBORS))).flatten(2)  # B P' 4C
        if self.version == 1:
            return self.reduction(self.norm(children))
        return self.norm(self.reduction(children))
