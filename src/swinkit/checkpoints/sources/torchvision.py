"""torchvision.models.swin_transformer, V1 and V2.

`features` is one list: 0 the embedding, then by turns the blocks of a stage (odd) and the merging
in front of the next one (even). V2 stores one bias for query, key and value and sets the key's
third to zero in each forward pass.
"""

import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.sources.base import Source
from swinkit.checkpoints.sources.tables import (
    BLOCK,
    Group,
    KeyRow,
    KeyTable,
    block_rows,
    merge_rows,
    rename,
)
from swinkit.settings import SizeHW

_BLOCK = "features.{stage}.{block}"


def _without_key(group: Group) -> Group:
    query, _, value = group[0].chunk(3)
    return query.clone(), value.clone()


def _with_zero_key(group: Group) -> Group:
    query, value = group
    return (torch.cat([query, torch.zeros_like(query), value]),)


_BIAS_V2 = KeyRow(
    native=(f"{BLOCK}.attention.q_bias", f"{BLOCK}.attention.v_bias"),
    foreign=(f"{_BLOCK}.attn.qkv.bias",),
    read=_without_key,
    write=_with_zero_key,
    version=2,
    step=2,
    first=1,
)

TABLE = KeyTable(
    name="torchvision",
    title="torchvision",
    anchor=r"features\.1\.0\.attn\.qkv\.weight",
    block=_BLOCK,
    small_map_rule="shrink_per_axis",
    shrinks_windows=False,
    inner=("backbone.",),
    rows=(
        *rename("patch_embed.projection", "features.0.0"),
        *rename("patch_embed.norm", "features.0.2"),
        *block_rows(_BLOCK, hidden="mlp.0", out="mlp.3", step=2, first=1, v2_bias=False),
        _BIAS_V2,
        *merge_rows("features.{stage}", step=2, first=0),
        *rename("norms.{last}", "norm"),
        *rename("head.fc", "head"),
    ),
    buffers={
        "position index": "attn.relative_position_index",
        "coordinates": "attn.relative_coords_table",
    },
)


class Torchvision(Source):
    """Files of torchvision and of its reference training."""

    name = "torchvision"
    tables = (TABLE,)
    wrappers = ("model_ema", "model")

    def size_notes(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        side = config.patch_size
        return [
            f"outputs equal torchvision's at sides that are multiples of {side} pixels; elsewhere "
            "they differ: torchvision cuts off what fills no patch, swinkit pads it"
        ]

    def obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        found = super().obstacles(config, image_hw)
        if config.in_channels != 3:
            found.append(f"it takes 3 channels, this model {config.in_channels}")
        if not config.qkv_bias:
            found.append("it always has a bias on query, key and value")
        if any(size != (0, 0) for size in config.pretrained_windows):
            found.append("it has no pretrained window for V2's coordinates")
        if config.num_stages - 1 not in config.norm_stages:
            found.append("it always norms the last stage")
        return found

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        if len(set(config.windows)) == 1:
            return []
        return [f"it has one window for all stages, not {config.windows}"]

    def position_index(self, window: SizeHW) -> Tensor:
        return super().position_index(window).flatten()


SOURCE = Torchvision()
