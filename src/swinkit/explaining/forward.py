"""The forward pass of the running network as a table: shapes, weights, work, memory and time.

Legend: B batch, C channels, P slots of the padded map in window order, L = h * w tokens.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from swinkit.backbones.block import SwinBlock
from swinkit.backbones.stage import SwinStage
from swinkit.explaining.complexity import Complexity, complexity
from swinkit.explaining.scene import Scene
from swinkit.windows.layout import move_tokens


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the forward pass.

    Attributes:
        name: what it does. note: such as padding, where it happens.
        shape: of what it gives, without the batch.
        parameters: numbers that it has learned.
        multiply_adds: of linear layers and products, as `swinkit complexity` counts them.
        megabytes: of what it gives.
        milliseconds: of one run on this machine, block by block as the network runs it.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    megabytes: float
    milliseconds: float
    note: str = ""


class _Watch:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def step(
        self,
        name: str,
        modules: Iterable[nn.Module],
        multiply_adds: int,
        compute: Callable[[], Tensor],
        note: str = "",
    ) -> Tensor:
        started = time.perf_counter()
        out = compute()
        if out.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        self.steps.append(
            Step(
                name=name,
                shape=tuple(out.shape[1:]),
                parameters=sum(p.numel() for module in modules for p in module.parameters()),
                multiply_adds=multiply_adds,
                megabytes=out.numel() * out.element_size() / 1e6,
                milliseconds=seconds * 1e3,
                note=note,
            )
        )
        return out


@torch.no_grad()
def forward_steps(scene: Scene) -> list[Step]:
    """Run the backbone step by step, and the whole model once more for the last row."""
    cost = complexity(scene.backbone.config, scene.image_hw)
    _backbone_steps(scene, cost)  # kernels and plans are made before the clock counts
    return [*_backbone_steps(scene, cost), _whole(scene, cost)]


def _backbone_steps(scene: Scene, cost: Complexity) -> list[Step]:
    backbone, image, watch = scene.backbone, scene.image, _Watch()
    patch, (height, width) = backbone.config.patch_size, scene.image_hw
    note = f"{patch} x {patch} pixels become one token"
    if height % patch or width % patch:
        note += f"; {-height % patch} rows and {-width % patch} columns of zeros are padded"
    embed = backbone.patch_embed
    watch.step("patch embedding", [embed], cost.patch_embed, lambda: embed(image), note)
    with_position = backbone.intermediates(image, ["patch_embed"])["patch_embed"]
    tokens = with_position.flatten(1, 2)
    stages = cast(Iterable[SwinStage], backbone.stages)
    for number, stage in enumerate(stages):
        tokens = _stage_steps(watch, scene, number, stage, tokens, cost)
    return watch.steps


def _stage_steps(
    watch: _Watch, scene: Scene, number: int, stage: SwinStage, tokens: Tensor, cost: Complexity
) -> Tensor:
    plan, own = scene.plans[number], cost.stages[number]
    rows, columns = (p - s for p, s in zip(own.padded_hw, own.size_hw, strict=True))
    padded = f"padded by {rows} rows, {columns} columns to whole windows" if rows + columns else ""
    name = "window partition" if stage.merge is None else "patch merging, window partition"
    merge = [] if stage.merge is None else [stage.merge]
    place = f"stage {number + 1}"
    before = tokens
    tokens = watch.step(
        f"{place}: {name}", merge, own.merging, lambda: stage.enter(before, plan), padded
    )
    for index, block in enumerate(cast(Iterable[SwinBlock], stage.blocks)):
        geometry, layout = plan.geometries[index % 2], plan.layouts[index % 2]
        shift = layout.shift_hw != (0, 0)
        turned = stage.turn(tokens, plan, index)
        high, wide = layout.window_hw
        note = f"{layout.num_windows} window{'s' * (layout.num_windows > 1)} of {high} x {wide}"
        if shift:
            note += f", shifted by {layout.shift_hw}, {layout.num_seam} of them with a mask"
        kind = "SW-MSA" if shift else "W-MSA"
        work = own.windows.total + own.position_bias + own.mlp
        tokens = watch.step(
            f"{place}, block {index + 1}: {kind} and MLP",
            [block],
            work,
            partial(block, turned, geometry),
            note,
        )
    norms = [scene.backbone.norms[str(number)]] if str(number) in scene.backbone.norms else []
    left = tokens
    watch.step(
        f"{place}: window reverse, norm" if norms else f"{place}: window reverse",
        norms,
        0,
        lambda: norms[0](move_tokens(left, plan.leave)) if norms else move_tokens(left, plan.leave),
    )
    return tokens


def _whole(scene: Scene, cost: Complexity) -> Step:
    scene.model(scene.image)  # its plans are others than those of the steps
    started = time.perf_counter()
    scene.model(scene.image)
    if scene.image.is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return Step(
        name="whole model",
        shape=(),
        parameters=sum(p.numel() for p in scene.model.parameters()),
        multiply_adds=cost.total,
        megabytes=0.0,
        milliseconds=seconds * 1e3,
        note="multiply-adds without the classifier or other head; parameters and time with it",
    )
