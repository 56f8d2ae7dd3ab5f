"""The plans of any size as one operation of a graph that torch.compile makes.

Their index arithmetic, traced, would keep the compiler busy for many minutes; here it is done
beside the graph, once per size. A graph for export has the arithmetic in it (`plan_stages`).

Legend: as in stage.py.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.backbones.stage import (
    KEPT_PLANS,
    StageMap,
    StagePlan,
    plan_maps,
    shift_for,
    stage_maps,
)
from swinkit.settings import SizeHW
from swinkit.windows.layout import TokenMove, WindowLayout, whole_windows
from swinkit.windows.shift_mask import WindowGeometry

_LIBRARY = torch.library.Library("swinkit", "FRAGMENT")
_LIBRARY.define(
    "plan_stages(Tensor image, SymInt[] grid_hw, int[] sides, int[] depths, str rule) -> Tensor[]"
)
PER_STAGE = 23  # tensors of a plan: four moves of four, two layouts of two, two paddings, a mask


def free_plans(config: SwinConfig, grid_hw: SizeHW, image: Tensor) -> list[StagePlan]:
    """The plans of all stages for an image of `grid_hw` patches, which may be free."""
    sides, rule = [side for window in config.windows for side in window], config.small_map_rule
    flat = torch.ops.swinkit.plan_stages(image, grid_hw, sides, config.depths, rule)
    return [
        _rebuilt(one, rule, flat[stage * PER_STAGE : (stage + 1) * PER_STAGE])
        for stage, one in enumerate(stage_maps(grid_hw, config.windows, config.depths))
    ]


def _rebuilt(stage_map: StageMap, rule: SmallMapRule, flat: list[Tensor]) -> StagePlan:
    """The plan whose `_tensors` these are."""
    size_hw, window_hw, depth = stage_map
    enter, *turns, leave = (TokenMove(*flat[first : first + 4]) for first in (0, 4, 8, 12))
    padded_hw = whole_windows(size_hw, window_hw)
    windows = (padded_hw[0] // window_hw[0]) * (padded_hw[1] // window_hw[1])
    shift_hw = shift_for(size_hw, window_hw, rule)
    plain, shifted = (
        WindowLayout(size_hw, window_hw, shift, padded_hw, to_map, to_slot, seam, fixed=False)
        for shift, to_map, to_slot, seam in (
            ((0, 0), flat[16], flat[17], 0),
            (shift_hw, flat[18], flat[19], windows),
        )
    )
    return StagePlan(
        size_hw,
        enter,
        (
            WindowGeometry(windows, flat[20]),
            WindowGeometry(windows, flat[21], flat[22]),
        ),
        cast(tuple[TokenMove, TokenMove], tuple(turns)),
        leave,
        (plain, shifted),
        plain if depth % 2 else shifted,
        depth,
    )


def _tensors(plan: StagePlan) -> list[Tensor]:
    moves = (plan.enter, *(plan.turns or ()), plan.leave)
    found = [
        tensor
        for move in moves
        for tensor in (move.source, move.target, move.source_holes, move.target_holes)
    ]
    for layout in plan.layouts:
        found += [layout.slot_to_padded, layout.padded_to_slot]
    found += [geometry.padding for geometry in plan.geometries]
    shifted, mask = plan.layouts[1], plan.geometries[1].mask
    if mask is None:  # a map within one window, which nothing shifts
        tokens = shifted.tokens_per_window
        mask = torch.zeros(
            shifted.num_windows, tokens, tokens, device=shifted.slot_to_padded.device
        )
    return cast(list[Tensor], [*found, mask])


def _planned(
    grid_hw: Sequence[int],
    sides: Sequence[int],
    depths: Sequence[int],
    rule: SmallMapRule,
    device: torch.device,
) -> list[Tensor]:
    windows = list(zip(sides[::2], sides[1::2], strict=True))
    maps = stage_maps((grid_hw[0], grid_hw[1]), windows, depths)
    plans = plan_maps(maps, rule, device, fixed=False)
    return [tensor for plan in plans for tensor in _tensors(plan)]


_kept = lru_cache(KEPT_PLANS)(_planned)


def _run(
    image: Tensor, grid_hw: list[int], sides: list[int], depths: list[int], rule: SmallMapRule
) -> list[Tensor]:
    kept = _kept(tuple(grid_hw), tuple(sides), tuple(depths), rule, image.device)
    return [tensor.clone() for tensor in kept]  # a graph may write into what it was given


def _shapes(
    image: Tensor, grid_hw: list[int], sides: list[int], depths: list[int], rule: SmallMapRule
) -> list[Tensor]:
    return _planned(grid_hw, sides, depths, rule, image.device)


_LIBRARY.impl("plan_stages", _run, "CompositeExplicitAutograd")
torch.library.register_fake("swinkit::plan_stages", _shapes, lib=_LIBRARY)
