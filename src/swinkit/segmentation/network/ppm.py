"""Pyramid pooling (PSPNet, 1612.01105, section 3.2): context of whole regions for each place.

Legend: B batch, C channels in, D channels out, H W map.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.segmentation.network.layers import ConvNorm
from swinkit.segmentation.network.resized_conv import resize


class PyramidPooling(nn.Module):
    """Means over a 1x1, 2x2, 3x3, 6x6 grid, each through a 1x1 convolution, beside the map itself;
    a 3x3 convolution joins them.

    Args:
        in_channels, channels: C and D.
        scales: cells along each axis of the grids.

    Source: 1612.01105, figure 3; UPerNet (1807.10221) hangs it on the last stage.
    """

    def __init__(self, in_channels: int, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.branches = nn.ModuleList(ConvNorm(in_channels, channels) for _ in self.scales)
        self.bottleneck = ConvNorm(in_channels + len(self.scales) * channels, channels, 3)

    def forward(self, maps: Tensor) -> Tensor:
        """`B C H W` -> `B D H W`."""
        size_hw = (maps.shape[2], maps.shape[3])
        context = [resize(pooled, size_hw) for pooled in self.pooled(maps)]
        return self.bottleneck(torch.cat([maps, *context], 1))

    def pooled(self, maps: Tensor) -> list[Tensor]:
        """The branches before they are enlarged: `B D s s` for each scale s."""
        return [
            branch(F.adaptive_avg_pool2d(maps, scale))
            for scale, branch in zip(self.scales, self.branches, strict=True)
        ]
