"""The logit lens: what the head would answer if the rest of the network had no blocks.

Legend: h w tokens of a map, C channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from swinkit.backbones.patch_merging import merging_move
from swinkit.backbones.stage import SwinStage
from swinkit.explaining.scene import Scene
from swinkit.registry import get_task
from swinkit.windows.layout import WindowLayout

MOST_ANSWERS = 3


@dataclass(frozen=True, kw_only=True)
class LensRow:
    """Probabilities of the model's best answers, read after one block."""

    stage: int
    block: int
    probabilities: dict[str, float]


@torch.no_grad()
def logit_lens(scene: Scene) -> list[LensRow]:
    """Block by block; empty for tasks whose head reads more than the last map.

    A map of an early stage goes through the patch merging of the later ones alone, then through
    the last norm and the head.
    """
    if not get_task(scene.model.task).reads_last_map:
        return []
    answers = scene.model.answers(scene.image, scene.backbone(scene.image))[:MOST_ANSWERS]
    names = [f"stages.{stage}.blocks.{block}" for stage, block in scene.blocks()]
    values = scene.backbone.intermediates(scene.image, names)
    rows = []
    for name, (stage, block) in zip(names, scene.blocks(), strict=True):
        last = carried(scene, stage, values[name])
        found = {one.name: float(one.score(scene.image, [last])[0].exp()) for one in answers}
        rows.append(LensRow(stage=stage, block=block, probabilities=found))
    return rows


def carried(scene: Scene, stage: int, tokens: Tensor) -> Tensor:
    """`1 h w C` of a stage -> `1 C h w` as the last map, without the blocks in between."""
    stages = list(cast(Iterable[SwinStage], scene.backbone.stages))
    for later in range(stage + 1, len(stages)):
        before, after = (scene.plans[number].size_hw for number in (later - 1, later))
        rows = [WindowLayout.of(size, size, device=tokens.device) for size in (before, after)]
        merge = stages[later].merge
        assert merge is not None  # of all stages but the first
        tokens = merge(tokens.flatten(1, 2), merging_move(*rows)).unflatten(1, after)
    last = str(len(stages) - 1)
    if last in scene.backbone.norms:
        tokens = scene.backbone.norms[last](tokens)
    return tokens.permute(0, 3, 1, 2)
