"""RoIAlign from the level of the pyramid that fits a box's size (1703.06870, 1612.03144).

Legend: B batch, C channels, H W map, R RoIs, s side of the pooled features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes.row_pooling import pool_rows, tap_counts
from swinkit.windows.layout import TokenMove, move_tokens

# A box of this many places of the finest level on a side, or up to twice as many, is pooled from
# it: 56 pixels at the usual stride of 4.
FINEST_PLACES = 14.0

Pool = Callable[[Tensor, Tensor, float, int], list[Tensor]]


@dataclass(frozen=True)
class RoIPooling:
    """Average of bilinear samples in each of s x s bins of a box, on its level of the pyramid.

    Level = floor(log2(sqrt(width * height) / 56 + 1e-6)), kept within the levels there are; 56 is
    for a finest stride of 4 and grows with it. Each bin takes as many samples as it spans places
    of the map, at least one.

    Attributes:
        output_size: s. strides: pixels per place of each level that may be pooled from.
        by_rows: on a CPU, pool as weighted sums of rows, which gives the same up to rounding.
    """

    output_size: int
    strides: tuple[int, ...] = (4, 8, 16, 32)
    by_rows: bool = True

    def levels(self, rois: Tensor) -> Tensor:
        """(R,) int64 level of each of (R, 5) RoIs."""
        boxes = rois[:, 1:].float()
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        levels = torch.floor(torch.log2(sides / (FINEST_PLACES * self.strides[0]) + 1e-6))
        return levels.clamp(0, len(self.strides) - 1).to(torch.int64)

    def __call__(self, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Pool (R, 5) RoIs, batch index and boxes_xyxy in pixels -> (R, C, s, s).

        Args:
            maps: `B C H W` per level; those past the last stride are not used.
        """
        count, channels, size = rois.shape[0], maps[0].shape[1], self.output_size
        if count == 0:
            pieces = [_none(level, size) for level in maps[: len(self.strides)]]
            return torch.cat(pieces).view(0, channels, size, size)
        # Boxes at half precision would be whole pixels off; those that are no numbers are empty.
        dtype = torch.promote_types(maps[0].dtype, torch.float32)
        rois = torch.where(rois.isfinite().all(1, keepdim=True), rois, 0).to(dtype)
        levels = self.levels(rois)
        if self.by_rows and rois.device.type == "cpu" and not torch.compiler.is_compiling():
            scales = torch.tensor([1 / stride for stride in self.strides], dtype=dtype)[levels]
            spread = rois.clone()
            spread[:, 1:] *= scales[:, None]
            order = tap_counts(spread, 1.0, size).prod(1).argsort()
            order = order[levels[order].argsort(stable=True)]
            rows = self._by_level(pool_rows, maps, rois, levels, order)
            pooled = rows.view(count, size, size, channels).permute(0, 3, 1, 2)
        else:
            order = levels.argsort(stable=True)
            rows = self._by_level(_sampled, maps, rois, levels, order)
            pooled = rows.view(count, channels, size, size)
        return pooled.to(maps[0].dtype)

    def _by_level(
        self,
        pool: Pool,
        maps: Sequence[Tensor],
        rois: Tensor,
        levels: Tensor,
        order: Tensor,
    ) -> Tensor:
        """(R, C * s * s) of RoIs that are pooled in `order`, which goes level by level."""
        counts = torch.bincount(levels, minlength=len(self.strides)).tolist()
        groups = rois.index_select(0, order).split(counts)
        rows: list[Tensor] = []
        for level, own, stride in zip(maps, groups, self.strides, strict=False):
            if own.shape[0] == 0:
                rows.append(_none(level, self.output_size).to(rois.dtype))
            else:
                rows += pool(level.to(rois.dtype), own, 1.0 / stride, self.output_size)
        number = torch.arange(order.numel(), device=order.device)
        back = torch.empty_like(order).scatter_(0, order, number)
        # The backward of this permutation is a gather too.
        return move_tokens(torch.cat(rows)[None], TokenMove(back, order, None, None))[0]


def _none(level: Tensor, size: int) -> Tensor:
    """(0, C * s * s), still connected to its level: that one's gradient is zeros, not missing."""
    return level[:0].reshape(0, level.shape[1] * size * size)


def _sampled(level: Tensor, rois: Tensor, scale: float, size: int) -> list[Tensor]:
    return [roi_align(level, rois, size, scale, 0, True).flatten(1)]
