"""All index arithmetic of one stage at one map size: made once per size, shared by its blocks.

Legend: B batch, C channels, P slots of the padded map in window order, L = H * W tokens.
"""

from dataclasses import dataclass

import torch

from swinkit.backbones.block import BlockGeometry
from swinkit.backbones.config import SmallMapRule
from swinkit.backbones.patch_merging import merging_move
from swinkit.settings import SizeHW
from swinkit.windows.layout import TokenMove, WindowLayout
from swinkit.windows.shift_mask import shift_mask


def shift_for(size_hw: SizeHW, window_hw: SizeHW, rule: SmallMapRule) -> SizeHW:
    """Cyclic shift of SW-MSA: half a window, less what `rule` drops on maps within one window."""
    half = (window_hw[0] // 2, window_hw[1] // 2)
    if rule == "keep":
        return half
    fits = (size_hw[0] <= window_hw[0], size_hw[1] <= window_hw[1])
    if rule == "shrink_both":
        return (0, 0) if any(fits) else half
    return (0 if fits[0] else half[0], 0 if fits[1] else half[1])


@dataclass(frozen=True, eq=False)
class StagePlan:
    """Where the tokens of a stage come from, how they turn between the two orders, how they leave.

    Attributes:
        enter: gather into the plain window order, from the row-major map (stage 1) or, four
            children a token, from the last order of the stage before.
        geometries: of W-MSA (even blocks) and of SW-MSA (odd blocks).
        turns: plain -> shifted and shifted -> plain, or None where nothing shifts.
        leave: last order of the stage -> row-major map.
        last: the layout in which the last block leaves the tokens.
    """

    size_hw: SizeHW
    enter: TokenMove
    geometries: tuple[BlockGeometry, BlockGeometry]
    turns: tuple[TokenMove, TokenMove] | None
    leave: TokenMove
    last: WindowLayout


def plan_stage(
    size_hw: SizeHW,
    window_hw: SizeHW,
    depth: int,
    rule: SmallMapRule,
    before: StagePlan | None,
    device: torch.device,
) -> StagePlan:
    """The plan of a stage of `depth` blocks on a map of `size_hw` tokens, on `device`."""
    plain = WindowLayout.of(size_hw, window_hw, device=device)
    shift_hw = shift_for(size_hw, window_hw, rule)
    shifted, turns = plain, None
    if shift_hw != (0, 0):
        shifted = WindowLayout.of(size_hw, window_hw, shift_hw, device=device)
        turns = (plain.move_to(shifted), shifted.move_to(plain))
    last = plain if depth % 2 else shifted
    return StagePlan(
        size_hw,
        plain.enter() if before is None else merging_move(before.last, plain),
        (_geometry(plain), _geometry(shifted)),
        turns,
        last.leave(),
        last,
    )


def _geometry(layout: WindowLayout) -> BlockGeometry:
    padding = layout.padding() if layout.is_padded else None
    return BlockGeometry(layout.num_windows, padding, shift_mask(layout))
