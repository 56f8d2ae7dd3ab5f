"""RoIAlign from the level of the pyramid that fits a box's size (1703.06870, 1612.03144).

Legend: B batch, C channels, H W map, R RoIs, s side of the pooled features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.windows.layout import TokenMove, move_tokens

# A box of this many pixels on a side, or up to twice as many, is pooled from the finest level.
FINEST_SIDE = 56.0


@dataclass(frozen=True)
class RoIPooling:
    """Average of bilinear samples in each of s x s bins of a box, on its level of the pyramid.

    Level = floor(log2(sqrt(width * height) / 56 + 1e-6)), kept within the levels there are. Each
    bin takes as many samples as it spans places of the map, at least one.

    Attributes:
        output_size: s. strides: pixels per place of each level that may be pooled from.
    """

    output_size: int
    strides: tuple[int, ...] = (4, 8, 16, 32)

    def levels(self, rois: Tensor) -> Tensor:
        """(R,) int64 level of each of (R, 5) RoIs."""
        boxes = rois[:, 1:].float()
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        levels = torch.floor(torch.log2(sides / FINEST_SIDE + 1e-6))
        return levels.clamp(0, len(self.strides) - 1).to(torch.int64)

    def __call__(self, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Pool (R, 5) RoIs, batch index and boxes_xyxy in pixels -> (R, C, s, s).

        Args:
            maps: `B C H W` per level; those past the last stride are not used.
        """
        if rois.shape[0] == 0:
            # Still connected to the maps, so that their gradients are zeros and not missing.
            return maps[0].new_zeros(0, maps[0].shape[1], self.output_size, self.output_size) + (
                sum(level.sum() for level in maps[: len(self.strides)]) * 0
            )
        if len(self.strides) == 1:
            return self._pool(maps[0], rois, self.strides[0])
        levels = self.levels(rois)
        order = levels.argsort(stable=True)
        counts = torch.bincount(levels, minlength=len(self.strides)).tolist()
        groups = rois.index_select(0, order).split(counts)
        pooled = torch.cat(
            [
                self._pool(level, own, stride)
                for level, own, stride in zip(maps, groups, self.strides, strict=False)
            ]
        )
        return _back_in_order(pooled, order)

    def _pool(self, level: Tensor, rois: Tensor, stride: int) -> Tensor:
        size = self.output_size
        rois = rois.to(level.dtype) if level.dtype == torch.float64 else rois.float()
        if level.dtype in (torch.float16, torch.bfloat16):
            # Boxes at half precision would be whole pixels off.
            pooled = roi_align(level.float(), rois, size, 1.0 / stride, 0, True)
            return pooled.to(level.dtype)
        return roi_align(level, rois, size, 1.0 / stride, 0, True)


def _back_in_order(pooled: Tensor, order: Tensor) -> Tensor:
    """(R, C, s, s) that stand by level -> as their RoIs stood; backward is a gather too."""
    number = torch.arange(order.numel(), device=order.device)
    places = torch.empty_like(order).scatter_(0, order, number)
    rows = pooled.flatten(1)[None]  # 1 R C*s*s
    return move_tokens(rows, TokenMove(places, order, None, None))[0].view_as(pooled)
