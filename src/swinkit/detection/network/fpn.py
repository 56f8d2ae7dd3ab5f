"""Feature pyramid network: every level of the backbone gets the meaning of the levels above it.

Legend: B batch, C channels, H W map of a level.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.errors import ConfigError


class FPN(nn.Module):
    """1x1 laterals, summed from the top down at the nearest place, then a 3x3 convolution each.

    Levels past those of the backbone halve the map again: "pool" takes every second place of the
    level below (P6 of Mask R-CNN), "conv" is a 3x3 convolution of stride 2, the first from the
    backbone's last map, the next from the one before (P6 and P7 of RetinaNet).

    Source: 1612.03144; FPN of mmdet (no norm, no activation; Xavier initialization, biases 0).

    Raises:
        ConfigError: fewer levels wanted than the backbone has.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outputs: int = 5,
        extra: Literal["pool", "conv"] = "pool",
    ) -> None:
        super().__init__()
        num_extra = num_outputs - len(in_channels)
        if not in_channels or num_extra < 0:
            raise ConfigError(
                f"a pyramid of {num_outputs} levels needs between 1 and {num_outputs} maps, "
                f"got {len(in_channels)}"
            )
        self.num_pooled = num_extra if extra == "pool" else 0
        self.lateral = nn.ModuleList(nn.Conv2d(own, out_channels, 1) for own in in_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in in_channels
        )
        sources = [in_channels[-1], *[out_channels] * num_extra][: num_extra - self.num_pooled]
        self.extra = nn.ModuleList(
            nn.Conv2d(own, out_channels, 3, stride=2, padding=1) for own in sources
        )
        for layer in (*self.lateral, *self.output, *self.extra):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """`B C H W` of each level of the backbone, finest first -> `B out H W` of each output."""
        merged = [lateral(level) for lateral, level in zip(self.lateral, maps, strict=True)]
        for below in range(len(merged) - 2, -1, -1):
            above = F.interpolate(merged[below + 1], size=merged[below].shape[-2:], mode="nearest")
            merged[below] = merged[below] + above
        outputs = [output(level) for output, level in zip(self.output, merged, strict=True)]
        source = maps[-1]
        for layer in self.extra:
            source = layer(source)
            outputs.append(source)
        for _ in range(self.num_pooled):
            outputs.append(outputs[-1][..., ::2, ::2])
        return outputs
