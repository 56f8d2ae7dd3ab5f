"""The numbers that the page carries for its explorer, few enough for a small file.

Of every query the scores before the mask are kept as float16 below their row's maximum: the page
computes mask and softmax itself. Where a network has more rows than fit, those nearest to the
chosen patch are kept, and the page says so of the rest.

Legend: nW windows, N heads, T tokens per window, P slots of the padded map, R rows that are kept.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swinkit.explaining.complexity import complexity
from swinkit.explaining.drawing import as_data_uri
from swinkit.explaining.scene import Scene
from swinkit.windows.layout import WindowLayout

MOST_VALUES = 3_300_000  # scores in one page: 8.8 MB of text


def page_data(scene: Scene, scores: Mapping[str, Tensor]) -> dict[str, Any]:
    """Geometry, scores, biases and costs as JSON can hold them.

    Args:
        scores: "stages.i.blocks.j.scores", `nW N T T` of the image.
    """
    config = scene.backbone.config
    counts = _rows_per_block(scene)
    stages = []
    for number, (plan, own) in enumerate(
        zip(scene.plans, complexity(config, scene.image_hw).stages, strict=True)
    ):
        blocks = []
        for index in range(plan.depth):
            layout = plan.layouts[index % 2]
            kept = _nearest_rows(layout, scene.token(number), counts[number, index])
            values = scores[f"stages.{number}.blocks.{index}.scores"]
            blocks.append(_block(scene, number, index, values, layout, kept))
        stages.append(
            {
                "size": plan.size_hw,
                "padded": own.padded_hw,
                "window": config.windows[number],
                "shift": plan.layouts[1].shift_hw,
                "stride": config.strides[number],
                "channels": own.channels,
                "heads": config.num_heads[number],
                "blocks": blocks,
            }
        )
    return {
        "image": as_data_uri(scene.picture_rgb),
        "size": scene.image_hw,
        "pixel": scene.pixel,
        "patch": config.patch_size,
        "version": config.version,
        "stages": stages,
    }


def _rows_per_block(scene: Scene) -> dict[tuple[int, int], int]:
    """How many rows of each block fit: small blocks whole, the rest of the space for large ones."""
    heads, windows = scene.backbone.config.num_heads, scene.backbone.config.windows
    width = {place: heads[place[0]] * windows[place[0]][0] * windows[place[0]][1]
             for place in scene.blocks()}  # fmt: skip
    left, counts = MOST_VALUES, {}
    for done, place in enumerate(sorted(width, key=lambda p: width[p] * _tokens(scene, p))):
        fair = left // (len(width) - done)
        counts[place] = max(1, min(_tokens(scene, place), fair // width[place]))
        left = max(0, left - counts[place] * width[place])
    return counts


def _tokens(scene: Scene, place: tuple[int, int]) -> int:
    height, width = scene.plans[place[0]].size_hw
    return height * width


def _nearest_rows(layout: WindowLayout, token_hw: tuple[int, int], most: int) -> Tensor:
    """(R,) row-major places on the map of the queries that are kept, in ascending order."""
    row = torch.arange(layout.size_hw[0])[:, None]
    column = torch.arange(layout.size_hw[1])
    far = torch.maximum((row - token_hw[0]).abs(), (column - token_hw[1]).abs()).flatten()
    return far.argsort(stable=True)[:most].sort().values


def _block(
    scene: Scene, stage: int, index: int, scores: Tensor, layout: WindowLayout, kept: Tensor
) -> dict[str, Any]:
    width = layout.size_hw[1]
    padded = kept // width * layout.padded_hw[1] + kept % width
    rows = scores.transpose(1, 2).flatten(0, 1)[layout.padded_to_slot[padded]]  # R N T
    top = rows.amax(-1, keepdim=True)
    with torch.no_grad():
        bias = scene.block(stage, index).attention.position_bias.table_rows()
    whole = len(kept) == layout.size_hw[0] * width
    return {
        "rows": None if whole else encoded(kept.numpy().astype("<i4")),
        "scores": encoded((rows - top).numpy().astype("<f2")),
        "top": encoded(top.numpy().astype("<f4")),
        "bias": encoded(bias.detach().float().cpu().numpy().astype("<f4")),
    }


def encoded(values: np.ndarray) -> str:
    """Little-endian numbers as text."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
