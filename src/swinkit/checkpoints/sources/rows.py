"""Two-way tables between foreign parameter names and swinkit's own.

A table is a tuple of `Entry`: one or several foreign tensors on one side, one or several native
tensors on the other, and how to compute one from the other. `{stage}` and `{block}` stand for
numbers; `{last}` in a native name stands for the last stage.

Legend: C channels, N heads, T tokens per window.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from swinkit.backbones.config import SmallMapRule

Tensors = dict[str, Tensor]
Group = tuple[Tensor, ...]
Version = Literal[1, 2]

DERIVED = ("relative_position_index", "relative_coords_table", "attn_mask", "k_bias")


def unchanged(group: Group) -> Group:
    return group


@dataclass(frozen=True, kw_only=True)
class Entry:
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


@dataclass(frozen=True, kw_only=True)
class Source:
    """Everything swinkit knows about one family of files.

    Attributes:
        name: how the command line calls it.
        title: how messages call it.
        entries: the table.
        anchor: regular expression of a key that every file of the family has.
        block: template in front of a block's tensors, to find derived buffers.
        marks: every one of these expressions must match some key; tells relatives apart.
        absent: no key may match one of these.
        inner: names under which a larger model holds the backbone.
        aliases: (expression, replacement) from other spellings of the same names.
        ignored: (expression, reason) of tensors that are known and not used.
        small_map_rule: see SwinConfig.
        persistent: derived buffers that the family's `load_state_dict(strict=True)` expects.
        wrapper: key under which its .pth files hold the state dict.
        versions: of Swin that the family has.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    anchor: str
    block: str
    small_map_rule: SmallMapRule
    marks: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    persistent: tuple[str, ...] = ()
    wrapper: str | None = None
    versions: tuple[Version, ...] = (1, 2)


@dataclass
class NativeState:
    """A foreign file in swinkit's names.

    Attributes:
        tensors: by native name.
        derived: first buffer found per (stage, buffer name): facts for inference, never weights.
        num_derived: how many such buffers the file had.
        renamed: native name to the foreign names it came from.
        ignored: foreign name to the reason why it is not used.
        other: names of other parts of a larger model.
        unexpected: names that nothing explains.
        incomplete: foreign names whose partners are missing.
    """

    version: Version
    tensors: Tensors = field(default_factory=dict)
    derived: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    num_derived: int = 0
    renamed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def same(
    native: str,
    foreign: str,
    *,
    leaves: tuple[str, ...] = ("weight", "bias"),
    version: Version | None = None,
    step: int = 1,
    first: int = 0,
    outer: bool = False,
) -> tuple[Entry, ...]:
    """Rows that only rename: one per leaf of a module."""
    return tuple(
        Entry(
            native=(f"{native}.{leaf}",),
            foreign=(f"{foreign}.{leaf}",),
            version=version,
            step=step,
            first=first,
            outer=outer,
        )
        for leaf in leaves
    )


def concatenate(group: Group) -> Group:
    """Query, key, value tensors as one, along the first axis."""
    return (torch.cat(group),)


def split_three(group: Group) -> Group:
    return tuple(part.clone() for part in group[0].chunk(3))
