"""Names of torchvision.models.swin_transformer, V1 and V2.

`features` is one list: 0 the embedding, then by turns the blocks of a stage (odd) and the merging
in front of the next one (even). V2 stores one bias for query, key and value and sets the key's
third to zero in each forward pass.
"""

import torch

from swinkit.checkpoints.keymap import Entry, Group, Source, same
from swinkit.checkpoints.microsoft import BLOCK, block_entries, merge_entries


def _without_key(group: Group) -> Group:
    query, _, value = group[0].chunk(3)
    return query.clone(), value.clone()


def _with_zero_key(group: Group) -> Group:
    query, value = group
    return (torch.cat([query, torch.zeros_like(query), value]),)


ATTENTION_V2 = Entry(
    native=(f"{BLOCK}.attention.q_bias", f"{BLOCK}.attention.v_bias"),
    foreign=("features.{stage}.{block}.attn.qkv.bias",),
    read=_without_key,
    write=_with_zero_key,
    version=2,
    step=2,
    first=1,
)

_BLOCKS = tuple(
    entry
    for entry in block_entries(
        "features.{stage}.{block}", hidden="mlp.0", out="mlp.3", step=2, first=1
    )
    if not entry.foreign[0].endswith(("q_bias", "v_bias"))
)

TORCHVISION = Source(
    name="torchvision",
    title="torchvision",
    anchor=r"features\.1\.0\.attn\.qkv\.weight",
    block="features.{stage}.{block}",
    small_map_rule="shrink_per_axis",
    inner=("backbone.",),
    entries=(
        *same("patch_embed.projection", "features.0.0"),
        *same("patch_embed.norm", "features.0.2"),
        *_BLOCKS,
        ATTENTION_V2,
        *merge_entries("features.{stage}", step=2, first=0),
        *same("norms.{last}", "norm"),
        *same("head.fc", "head"),
    ),
    persistent=("relative_position_index", "relative_coords_table"),
)
