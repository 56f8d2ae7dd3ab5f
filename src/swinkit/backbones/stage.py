"""One stage (paper, figure 3a): patch merging, then blocks of W-MSA and SW-MSA in turn.

Tokens enter a stage once, in window order, and stay so until they leave it. Where each token goes
is a plan, made once per map size and shared by all blocks.

Legend: B batch, C channels, P slots of the padded map in window order, L = H * W tokens.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.checkpoint import checkpoint

from swinkit.backbones.block import SwinBlock
from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.backbones.patch_merging import PatchMerging, merging_move
from swinkit.settings import SizeHW
from swinkit.windows.attention import WindowAttention
from swinkit.windows.layout import TokenMove, WindowLayout, ceil_div, move_tokens
from swinkit.windows.shift_mask import WindowGeometry

# Plans of this many sizes are kept for all models: a few bytes per token, a mask per seam window.
KEPT_PLANS = 32

StageMap = tuple[SizeHW, SizeHW, int]  # size, window, blocks


@dataclass(frozen=True, eq=False, slots=True)
class StagePlan:
    """All index arithmetic of one stage at one map size.

    Attributes:
        size_hw: the map, in tokens.
        enter: gather into the plain window order, from the row-major map (stage 1) or, four
            children a token, from the last order of the stage before.
        geometries: of W-MSA (even blocks) and of SW-MSA (odd blocks).
        turns: plain -> shifted and shifted -> plain, or None where nothing shifts.
        leave: last order of the stage -> row-major map.
        layouts: of W-MSA and of SW-MSA; the same where nothing shifts.
        last: the layout in which the last block leaves the tokens.
        depth: blocks.
    """

    size_hw: SizeHW
    enter: TokenMove
    geometries: tuple[WindowGeometry, WindowGeometry]
    turns: tuple[TokenMove, TokenMove] | None
    leave: TokenMove
    layouts: tuple[WindowLayout, WindowLayout]
    last: WindowLayout
    depth: int


def plan_stage(
    size_hw: SizeHW,
    window_hw: SizeHW,
    depth: int,
    rule: SmallMapRule,
    before: StagePlan | None,
    device: torch.device,
    *,
    fixed: bool = True,
    shifts: bool = True,
) -> StagePlan:
    """The plan of a stage of `depth` blocks on a map of `size_hw` tokens, on `device`."""
    plain = WindowLayout.of(size_hw, window_hw, device=device, fixed=fixed)
    shift_hw = shift_for(size_hw, window_hw, rule) if shifts else (0, 0)
    shifted, turns = plain, None
    if shifts and (not fixed or shift_hw != (0, 0)):
        shifted = WindowLayout.of(size_hw, window_hw, shift_hw, device=device, fixed=fixed)
        turns = (plain.move_to(shifted), shifted.move_to(plain))
    last = plain if depth % 2 else shifted
    return StagePlan(
        size_hw,
        plain.enter() if before is None else merging_move(before.last, plain),
        (WindowGeometry.of(plain), WindowGeometry.of(shifted)),
        turns,
        last.leave(),
        (plain, shifted),
        last,
        depth,
    )


def shift_for(size_hw: SizeHW, window_hw: SizeHW, rule: SmallMapRule) -> SizeHW:
    """Cyclic shift of SW-MSA: half a window, less what `rule` drops on maps within one window."""
    half = (window_hw[0] // 2, window_hw[1] // 2)
    if rule == "keep":
        return half
    # 1 where the map takes n > 1 windows, else 0: 2 (n - 1) / n, rounded down. The size may be
    # free, and then only arithmetic may tell.
    counts = [ceil_div(side, window) for side, window in zip(size_hw, window_hw, strict=True)]
    larger = [2 * (count - 1) // count for count in counts]
    if rule == "shrink_both":
        larger = [larger[0] * larger[1]] * 2
    return half[0] * larger[0], half[1] * larger[1]


def plan_stages(
    config: SwinConfig,
    grid_hw: SizeHW,
    device: torch.device,
    *,
    fixed: bool,
    shifts: bool = True,
) -> list[StagePlan]:
    """The plans of all stages for an image of `grid_hw` patches.

    Args:
        fixed: whether the size is known; else the plans are part of a graph for any size.
        shifts: False makes plain windows of all blocks, to see what the shift does.
    """
    maps = stage_maps(grid_hw, config.windows, config.depths)
    return plan_maps(maps, config.small_map_rule, device, fixed=fixed, shifts=shifts)


def stage_maps(grid_hw: SizeHW, windows: Sequence[SizeHW], depths: Sequence[int]) -> list[StageMap]:
    """The map of each stage, in tokens, with the window and the blocks on it."""
    maps, size_hw = [], grid_hw
    for window_hw, depth in zip(windows, depths, strict=True):
        maps.append((size_hw, window_hw, depth))
        size_hw = (ceil_div(size_hw[0], 2), ceil_div(size_hw[1], 2))
    return maps


def plan_maps(
    maps: list[StageMap],
    rule: SmallMapRule,
    device: torch.device,
    *,
    fixed: bool,
    shifts: bool = True,
) -> list[StagePlan]:
    """The plans of stages on these maps; see `plan_stages`."""
    plans: list[StagePlan] = []
    for size_hw, window_hw, depth in maps:
        before = plans[-1] if plans else None
        plan = plan_stage(
            size_hw, window_hw, depth, rule, before, device, fixed=fixed, shifts=shifts
        )
        plans.append(plan)
    return plans


@lru_cache(KEPT_PLANS)
def _kept_plans(config: SwinConfig, grid_hw: SizeHW, device: torch.device) -> list[StagePlan]:
    # Whatever watches the operations of the moment, a tracer or a counter, must not see these.
    with _disable_current_modes(), torch.inference_mode(False):
        return plan_stages(config, grid_hw, device, fixed=True)


def kept_plans(config: SwinConfig, grid_hw: SizeHW, device: torch.device) -> list[StagePlan]:
    """The plans of a fixed size, made once: constants of a compiled or exported graph."""
    return _kept_plans(config, grid_hw, device)


# What torch.compiler.assume_constant_result does, which would import the compiler, seconds, here.
kept_plans._dynamo_marked_constant = True  # type: ignore[attr-defined]


class SwinStage(nn.Module):
    """Patch merging (stages 2 to 4), then blocks of W-MSA and SW-MSA in turn.

    Args:
        stage: its number, from 0.
        drop_path_rates: stochastic depth of each block, one rate per block.
    """

    def __init__(self, config: SwinConfig, stage: int, drop_path_rates: list[float]) -> None:
        super().__init__()
        self.gradient_checkpointing = config.gradient_checkpointing
        channels = config.channels[stage]
        self.merge: PatchMerging | None = None
        if stage > 0:
            self.merge = PatchMerging(channels // 2, version=config.version)
        self.blocks = nn.ModuleList(
            SwinBlock(
                WindowAttention(
                    channels,
                    config.num_heads[stage],
                    config.windows[stage],
                    version=config.version,
                    qkv_bias=config.qkv_bias,
                    pretrained_window_hw=config.pretrained_windows[stage],
                    dropout=config.dropout,
                    attention_dropout=config.attention_dropout,
                    kernel=config.attention,
                ),
                mlp_ratio=config.mlp_ratio,
                drop_path_rate=rate,
                dropout=config.dropout,
            )
            for rate in drop_path_rates
        )

    def forward(self, tokens: Tensor, plan: StagePlan) -> Tensor:
        """Tokens as the stage before leaves them (stage 1: row-major `B L C`) -> `B P C`."""
        tokens = self.enter(tokens, plan)
        for number, block in enumerate(self.blocks):
            tokens = self.turn(tokens, plan, number)
            geometry = plan.geometries[number % 2]
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, geometry, use_reentrant=False)
            else:
                tokens = block(tokens, geometry)
        return tokens

    def forward_seen(
        self,
        tokens: Tensor,
        plan: StagePlan,
        prefix: str,
        names: Collection[str],
        *,
        through_attention: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `forward`, and those named values of `SwinBackbone.intermediates` that are its own."""
        tokens = self.enter(tokens, plan)
        found: dict[str, Tensor] = {}
        if f"{prefix}.merged" in names:
            found[f"{prefix}.merged"] = _row_major(tokens, plan.layouts[0])
        for number, block in enumerate(cast(Iterable[SwinBlock], self.blocks)):
            tokens, geometry = self.turn(tokens, plan, number), plan.geometries[number % 2]
            own = f"{prefix}.blocks.{number}"
            if {f"{own}.scores", f"{own}.attention"} & set(names):
                seen, scores, weights = block.forward_seen(tokens, geometry)
                found |= {f"{own}.scores": scores, f"{own}.attention": weights}
                tokens = seen if through_attention else block(tokens, geometry)
            else:
                tokens = block(tokens, geometry)
            if own in names:
                found[own] = _row_major(tokens, plan.layouts[number % 2])
        return tokens, found

    def enter(self, tokens: Tensor, plan: StagePlan) -> Tensor:
        """Merge patches (not in stage 1) into the plain window order of the first block."""
        if self.merge is None:
            return move_tokens(tokens, plan.enter)
        return self.merge(tokens, plan.enter)

    def turn(self, tokens: Tensor, plan: StagePlan, number: int) -> Tensor:
        """`B P C` from the order of the block before into that of block `number`."""
        if plan.turns is None or number == 0:
            return tokens
        return move_tokens(tokens, plan.turns[(number + 1) % 2])


def _row_major(tokens: Tensor, layout: WindowLayout) -> Tensor:
    """`B P C` in the order of `layout` -> `B h w C`."""
    return move_tokens(tokens, layout.leave()).unflatten(1, layout.size_hw)
