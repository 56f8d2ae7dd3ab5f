"""The plans of any size as one operation of a graph that torch.compile makes.

Their index arithmetic, traced, would keep the compiler busy for many minutes; here it is done
beside the graph, once per size. A graph for export has the arithmetic in it (`plan_stages`).

Legend: as in stage.py.
"""

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.backbones.stage import KEPT_PLANS, StagePlan, plan_stage, shift_for
from swinkit.settings import SizeHW
from swinkit.windows.layout import TokenMove, WindowLayout, ceil_div
from swinkit.windows.shift_mask import WindowGeometry

_LIBRARY = torch.library.Library("swinkit", "FRAGMENT")
_LIBRARY.define(
    "plan_stages(Tensor image, SymInt[] grid_hw, int[] windows, int[] depths, str rule) -> Tensor[]"
)
PER_STAGE = 23  # tensors of a plan: four moves of four, two layouts of two, two paddings, a mask


def free_plans(config: SwinConfig, grid_hw: SizeHW, image: Tensor) -> list[StagePlan]:
    """The plans of all stages for an image of `grid_hw` patches, which may be free."""
    sides = [side for window_hw in config.windows for side in window_hw]
    rule = config.small_map_rule
    flat = torch.ops.swinkit.plan_stages(image, grid_hw, sides, config.depths, rule)
    plans, size_hw = [], grid_hw
    for stage, (window_hw, depth) in enumerate(zip(config.windows, config.depths, strict=True)):
        own = flat[stage * PER_STAGE : (stage + 1) * PER_STAGE]
        plans.append(_rebuilt(size_hw, window_hw, depth, rule, own))
        size_hw = (ceil_div(size_hw[0], 2), ceil_div(size_hw[1], 2))
    return plans


def _rebuilt(
    size_hw: SizeHW, window_hw: SizeHW, depth: int, rule: SmallMapRule, flat: list[Tensor]
) -> StagePlan:
    """The plan whose `_tensors` these are."""
    enter, *turns, leave = (TokenMove(*flat[first : first + 4]) for first in (0, 4, 8, 12))
    rows, columns = (ceil_div(size_hw[0], window_hw[0]), ceil_div(size_hw[1], window_hw[1]))
    padded_hw = (rows * window_hw[0], columns * window_hw[1])
    shift_hw = shift_for(size_hw, window_hw, rule)
    plain = WindowLayout(
        size_hw, window_hw, (0, 0), padded_hw, flat[16], flat[17], num_seam=0, fixed=False
    )
    shifted = WindowLayout(
        size_hw,
        window_hw,
        shift_hw,
        padded_hw,
        flat[18],
        flat[19],
        num_seam=rows * columns,
        fixed=False,
    )
    return StagePlan(
        size_hw,
        enter,
        (
            WindowGeometry(rows * columns, flat[20]),
            WindowGeometry(rows * columns, flat[21], flat[22]),
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
    grid_hw: list[int],
    windows: list[int],
    depths: list[int],
    rule: SmallMapRule,
    device: torch.device,
) -> list[Tensor]:
    plans: list[StagePlan] = []
    size_hw = (grid_hw[0], grid_hw[1])
    for number, depth in enumerate(depths):
        window_hw = (windows[2 * number], windows[2 * number + 1])
        before = plans[-1] if plans else None
        plans.append(plan_stage(size_hw, window_hw, depth, rule, before, device, fixed=False))
        size_hw = (ceil_div(size_hw[0], 2), ceil_div(size_hw[1], 2))
    return [tensor for plan in plans for tensor in _tensors(plan)]


@lru_cache(KEPT_PLANS)
def _kept(
    grid_hw: tuple[int, ...],
    windows: tuple[int, ...],
    depths: tuple[int, ...],
    rule: SmallMapRule,
    device: torch.device,
) -> list[Tensor]:
    return _planned(list(grid_hw), list(windows), list(depths), rule, device)


def _run(
    image: Tensor, grid_hw: list[int], windows: list[int], depths: list[int], rule: SmallMapRule
) -> list[Tensor]:
    kept = _kept(tuple(grid_hw), tuple(windows), tuple(depths), rule, image.device)
    return [tensor.clone() for tensor in kept]  # a graph may write into what it was given


def _shapes(
    image: Tensor, grid_hw: list[int], windows: list[int], depths: list[int], rule: SmallMapRule
) -> list[Tensor]:
    return _planned(grid_hw, windows, depths, rule, image.device)


_LIBRARY.impl("plan_stages", _run, "CompositeExplicitAutograd")
torch.library.register_fake("swinkit::plan_stages", _shapes, lib=_LIBRARY)
