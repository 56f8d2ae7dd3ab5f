"""What heads that answer at every place of every level share.

Legend: B batch, A anchors per place, H W map of a level, V values per anchor,
L = H * W * A answers of a level, N answers of all levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swinkit.settings import SizeHW


def map_sizes(maps: Sequence[Tensor]) -> list[SizeHW]:
    return [(level.shape[-2], level.shape[-1]) for level in maps]


def per_anchor(level: Tensor, values: int) -> Tensor:
    """`B A*V H W` -> `B L V` float32, in the order of the anchors: row, column, anchor."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, values).float()


def all_levels(levels: Sequence[Tensor], values: int) -> Tensor:
    """`B A*V H W` of each level -> `B N V` float32."""
    return torch.cat([per_anchor(level, values) for level in levels], dim=1)


def normal_(module: nn.Module, std: float = 0.01) -> None:
    """Weights from a normal distribution, biases 0: convolutions of dense heads (1506.01497)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
