"""Two-way tables between a package's parameter names and swinkit's own.

A row has one or several foreign tensors on one side, one or several native tensors on the other,
and how to compute one from the other. `{stage}` and `{block}` stand for numbers; `{last}` in a
native name stands for the last stage.

Legend: C channels, h w grid of positions.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from swinkit.backbones.config import SmallMapRule

Tensors = dict[str, Tensor]
Group = tuple[Tensor, ...]
Version = Literal[1, 2]

WEIGHT_AND_BIAS = ("weight", "bias")
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCK = "stages.{stage}.blocks.{block}"
# What a file may hold beside its weights in a block, and swinkit computes itself, by the last part
# of its usual name.
DERIVED = {
    "relative_position_index": "position index",
    "relative_coords_table": "coordinates",
    "attn_mask": "shift mask",
    "k_bias": "key bias",
}


def unchanged(group: Group) -> Group:
    return group


@dataclass(frozen=True, kw_only=True)
class KeyRow:
    """One row of a table.

    Attributes:
        native: names on swinkit's side, relative to the backbone (`head.fc` to the classifier).
        foreign: names on the other side.
        read, write: foreign tensors to native ones, and back; the same number in as names.
        version: the architecture this row belongs to, or None for both.
        step, first: the foreign number of a stage is step * stage + first.
        outer: the name stands beside the backbone, not inside it (heads).
    """

    native: tuple[str, ...]
    foreign: tuple[str, ...]
    read: Callable[[Group], Group] = unchanged
    write: Callable[[Group], Group] = unchanged
    version: Version | None = None
    step: int = 1
    first: int = 0
    outer: bool = False


Rows = tuple[KeyRow, ...]


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """The names of one kind of backbone that a source has, with a classifier's head.

    Attributes:
        name: how a model's provenance calls it.
        title: how messages call it.
        rows: foreign to native names.
        anchor: regular expression of a key that every such file has.
        block: template in front of a block's tensors, to find derived buffers.
        marks: every one of these expressions must match some key; tells relatives apart.
        absent: no key may match one of these.
        inner: names under which a larger model holds the backbone.
        aliases: (expression, replacement) from other spellings of the same names.
        ignored: (expression, reason) of tensors that are known and not used.
        small_map_rule: see SwinConfig.
        shrinks_windows: whether the constructor shrinks a window to the maps of its image size,
            by that rule.
        derived: last part of the name of a derived buffer in a block to what it is.
        buffers: those that the source's `load_state_dict(strict=True)` expects, to their names in
            a block.
        wrapper: key under which its .pth files hold the state dict.
        versions: of Swin that it has.
        patch_norm_optional: whether it can leave out the norm of the patch embedding.
    """

    name: str
    title: str
    rows: Rows
    anchor: str
    block: str
    marks: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    small_map_rule: SmallMapRule
    derived: Mapping[str, str] = field(default_factory=lambda: DERIVED)
    buffers: Mapping[str, str] = field(default_factory=dict)
    wrapper: str | None = None
    versions: tuple[Version, ...] = (1, 2)
    shrinks_windows: bool = True
    patch_norm_optional: bool = False

    @property
    def native_names(self) -> set[str]:
        """The native side of its rows."""
        return {name for row in self.rows for name in row.native}

    @property
    def norms_last_stage_only(self) -> bool:
        return any("{last}" in name for name in self.native_names)

    @property
    def stage_numbering(self) -> tuple[int, int]:
        """(step, first) of the stages' numbers in front of blocks, see KeyRow."""
        return next((row.step, row.first) for row in self.rows if "{block}" in row.foreign[0])

    def prefix(self, names: Mapping[str, object]) -> tuple[str, str] | None:
        """(outer, inner) prefix in front of the keys, or None where the anchor is absent."""
        prefix = find_prefix(self.anchor, names)
        if prefix is None:
            return None
        for inner in self.inner:
            if prefix == inner or prefix.endswith("." + inner):
                return prefix[: len(prefix) - len(inner)], inner
        return prefix, ""

    def matches(self, names: Mapping[str, object]) -> bool:
        """Whether these are the keys of such a file."""
        if self.prefix(names) is None:
            return False
        marked = all(any_match(mark, names) for mark in self.marks)
        return marked and not any(any_match(mark, names) for mark in self.absent)


def rename(
    native: str,
    foreign: str,
    *,
    leaves: tuple[str, ...] = WEIGHT_AND_BIAS,
    version: Version | None = None,
    step: int = 1,
    first: int = 0,
    outer: bool = False,
) -> Rows:
    """Rows that only rename: one per tensor of a module, or one for a tensor without leaves."""
    return tuple(
        KeyRow(
            native=(native + leaf,),
            foreign=(foreign + leaf,),
            version=version,
            step=step,
            first=first,
            outer=outer,
        )
        for leaf in (tuple(f".{leaf}" for leaf in leaves) or ("",))
    )


def fuse(
    native: str, parts: tuple[str, ...], version: Version | None = None, *, first: int = 0
) -> KeyRow:
    """Several foreign tensors as one native tensor, along the first axis."""
    return KeyRow(
        native=(native,),
        foreign=parts,
        read=lambda group: (torch.cat(group),),
        write=lambda group: tuple(part.clone() for part in group[0].chunk(len(parts))),
        version=version,
        first=first,
    )


# Most packages kept the official names inside a block.
def block_rows(
    block: str,
    *,
    attention: str = "attn",
    hidden: str = "mlp.fc1",
    out: str = "mlp.fc2",
    step: int = 1,
    first: int = 0,
    v2_bias: bool = True,
) -> Rows:
    """Rows of one block under the official names, or names of the same build.

    Args:
        block: foreign template of a block.
        attention, hidden, out: foreign names of the attention and of the two MLP layers in it.
        step, first: numbering of stages, see KeyRow.
        v2_bias: whether V2 stores the biases of query and value apart, as the official code does.
    """
    ours, theirs = f"{BLOCK}.attention", f"{block}.{attention}"

    def row(
        native: str,
        foreign: str,
        leaves: tuple[str, ...] = WEIGHT_AND_BIAS,
        version: Version | None = None,
    ) -> Rows:
        return rename(native, foreign, leaves=leaves, version=version, step=step, first=first)

    biases = (
        *row(f"{ours}.q_bias", f"{theirs}.q_bias", (), 2),
        *row(f"{ours}.v_bias", f"{theirs}.v_bias", (), 2),
    )
    return (
        *row(f"{BLOCK}.norm1", f"{block}.norm1"),
        *row(f"{BLOCK}.norm2", f"{block}.norm2"),
        *row(f"{ours}.qkv", f"{theirs}.qkv", ("weight",)),
        *row(f"{ours}.projection", f"{theirs}.proj"),
        *row(f"{BLOCK}.mlp.fc1", f"{block}.{hidden}"),
        *row(f"{BLOCK}.mlp.fc2", f"{block}.{out}"),
        *row(f"{ours}.qkv.bias", f"{theirs}.qkv.bias", (), 1),
        *row(f"{ours}.position_bias.table", f"{theirs}.relative_position_bias_table", (), 1),
        *(biases if v2_bias else ()),
        *row(f"{ours}.logit_scale", f"{theirs}.logit_scale", (), 2),
        *row(f"{ours}.position_bias.mlp.0", f"{theirs}.cpb_mlp.0"),
        *row(f"{ours}.position_bias.mlp.2", f"{theirs}.cpb_mlp.2", ("weight",)),
    )


def merge_rows(merge: str, *, step: int = 1, first: int = -1) -> Rows:
    """Rows of patch merging; `first` -1: it stands at the end of the stage before.

    The official code merges patches there, swinkit (like figure 3) at the start of the next one.
    """
    ours = "stages.{stage}.merge"
    return (
        *rename(f"{ours}.norm", f"{merge}.norm", step=step, first=first),
        *rename(
            f"{ours}.reduction", f"{merge}.reduction", leaves=("weight",), step=step, first=first
        ),
    )


def embedding_rows(embedding: str = "patch_embed", projection: str = "proj") -> Rows:
    """Rows of the patch embedding and its norm."""
    return (
        *rename("patch_embed.projection", f"{embedding}.{projection}"),
        *rename("patch_embed.norm", f"{embedding}.norm"),
    )


def flatten_grid(group: Group) -> Group:
    """(1, h, w, C) as (1, h * w, C); reading leaves it flat until the grid is known."""
    return (group[0].flatten(1, 2),)


def grid_last(group: Group) -> Group:
    """(1, h, w, C) as (1, C, h, w)."""
    return (group[0].permute(0, 3, 1, 2).contiguous(),)


def read_grid(group: Group) -> Group:
    """(1, C, h, w) as (1, h, w, C); flat ones, (1, h * w, C), stay as they are."""
    position = group[0]
    return (position.permute(0, 2, 3, 1).contiguous(),) if position.dim() == 4 else group


def find_prefix(anchor: str, names: Mapping[str, object]) -> str | None:
    """What stands in front of the anchor; the shortest where there are several."""
    expression = re.compile(rf"(?P<prefix>(?:.*?\.)??)(?:{anchor})")
    found = {match["prefix"] for match in map(expression.fullmatch, names) if match}
    return min(found, key=lambda text: (len(text), text), default=None)


def any_match(expression: str, names: Mapping[str, object]) -> bool:
    return any(re.fullmatch(expression, name) for name in names)
