"""Anchors: boxes of fixed shapes around every place of every level of a pyramid.

Legend: B batch, A anchors per place, H W map of a level, V values per anchor,
L = H * W * A anchors of a level, N anchors of all levels.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.settings import SizeHW

# Grids of this many sets of map sizes are kept; at 800 x 1216 pixels one takes 4 MB.
KEPT_GRIDS = 16


def octave_scales(base: float = 4.0, per_octave: int = 3) -> tuple[float, ...]:
    """RetinaNet's scales: `base` times 2**0, 2**(1/3), 2**(2/3) (1708.02002, section 4)."""
    return tuple(base * 2 ** (step / per_octave) for step in range(per_octave))


class AnchorGrid:
    """Boxes of `stride * scale` side at each ratio (height over width), equal in area.

    The anchors of place (y, x) are centered on (x * stride, y * stride), its top left corner, and
    are not rounded. They stand in the order row, column, ratio, scale, the last running fastest.

    Source: AnchorGenerator of mmdet with `center_offset` 0.
    """

    def __init__(
        self,
        strides: Sequence[int],
        scales: Sequence[float] = (8.0,),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
    ) -> None:
        self.strides = tuple(strides)
        self.scales = tuple(scales)
        self.ratios = tuple(ratios)
        self._grids: OrderedDict[tuple[tuple[SizeHW, ...], torch.device], list[Tensor]] = (
            OrderedDict()
        )

    def __getstate__(self) -> dict[str, object]:
        """Copies and pickles leave the kept grids behind."""
        return {**self.__dict__, "_grids": OrderedDict()}

    @property
    def anchors_per_place(self) -> int:
        return len(self.scales) * len(self.ratios)

    def base(self, level: int) -> Tensor:
        """(A, 4) anchors of the place at the origin."""
        root = torch.tensor(self.ratios, dtype=torch.float32).sqrt()[:, None]
        scales = torch.tensor(self.scales, dtype=torch.float32)[None]
        widths = (self.strides[level] * (1 / root) * scales).flatten()
        heights = (self.strides[level] * root * scales).flatten()
        return torch.stack([-widths, -heights, widths, heights], dim=1) * 0.5

    def __call__(
        self, map_sizes_hw: Sequence[SizeHW], device: torch.device | None = None
    ) -> list[Tensor]:
        """(H * W * A, 4) float32 boxes_xyxy of each level; do not write into them."""
        if torch.compiler.is_exporting():  # nothing made for a graph may be kept
            return [self._level(level, size_hw) for level, size_hw in enumerate(map_sizes_hw)]
        sizes: tuple[SizeHW, ...] = tuple((int(h), int(w)) for h, w in map_sizes_hw)
        key = (sizes, torch.device("cpu") if device is None else torch.device(device))
        if key not in self._grids:
            self._grids[key] = [
                self._level(level, size_hw).to(key[1]) for level, size_hw in enumerate(sizes)
            ]
            if len(self._grids) > KEPT_GRIDS:
                self._grids.popitem(last=False)
        self._grids.move_to_end(key)
        return self._grids[key]

    def inside(
        self,
        map_sizes_hw: Sequence[SizeHW],
        size_hw: SizeHW,
        *,
        border: float = -1,
        divisor: int = 32,
        device: torch.device | None = None,
    ) -> Tensor:
        """(sum of H * W * A,) bool: which anchors an image trains.

        Places past the image's own padding to a multiple of `divisor` hold nothing but the padding
        of its batch and never train; with `border` >= 0 anchors that leave the image of `size_hw`
        by more than `border` pixels do not train either.
        """
        anchors = torch.cat(self(map_sizes_hw, device))
        places = [
            _places_inside(map_hw, stride, size_hw, divisor)
            for map_hw, stride in zip(map_sizes_hw, self.strides, strict=True)
        ]
        flags = torch.cat(places).to(anchors.device).repeat_interleave(self.anchors_per_place)
        if border < 0:
            return flags
        limit = anchors.new_tensor([size_hw[1] + border, size_hw[0] + border])
        within = (anchors[:, :2] >= -border).all(1) & (anchors[:, 2:] < limit).all(1)
        return flags & within

    def _level(self, level: int, size_hw: SizeHW) -> Tensor:
        stride = self.strides[level]
        y = torch.arange(size_hw[0], dtype=torch.float32) * stride
        x = torch.arange(size_hw[1], dtype=torch.float32) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centers = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)  # H*W 1 4
        return (centers + self.base(level)).reshape(-1, 4)  # H*W*A 4


def _places_inside(map_hw: SizeHW, stride: int, size_hw: SizeHW, divisor: int) -> Tensor:
    """(H * W,) bool: places that begin within the image padded to a multiple of `divisor`."""
    padded = [math.ceil(side / divisor) * divisor for side in size_hw]
    rows = torch.arange(map_hw[0]) * stride < padded[0]
    columns = torch.arange(map_hw[1]) * stride < padded[1]
    return (rows[:, None] & columns[None]).flatten()


def map_sizes(maps: Sequence[Tensor]) -> list[SizeHW]:
    return [(level.shape[-2], level.shape[-1]) for level in maps]


def per_anchor(level: Tensor, values: int) -> Tensor:
    """`B A*V H W` -> `B L V` float32, in the order of the anchors: row, column, anchor."""
    places = level.permute(0, 2, 3, 1)
    if torch.compiler.is_exporting():  # else sizes decide whether this is a view
        places = places.clone(memory_format=torch.contiguous_format)
    return places.reshape(level.shape[0], -1, values).float()


def all_levels(levels: Sequence[Tensor], values: int) -> Tensor:
    """`B A*V H W` of each level -> `B N V` float32."""
    return torch.cat([per_anchor(level, values) for level in levels], dim=1)
