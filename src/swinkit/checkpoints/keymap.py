"""Two-way tables between foreign parameter names and swinkit's own.

A table is a tuple of `Entry`: one or several foreign tensors on one side, one or several native
tensors on the other, and how to compute one from the other. `{stage}` and `{block}` stand for
numbers; `{last}` in a native name stands for the last stage.

Legend: C channels, N heads, T tokens per window.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor

from swinkit.backbones.config import SmallMapRule

Tensors = dict[str, Tensor]
Group = tuple[Tensor, ...]
Version = Literal[1, 2]
Value = TypeVar("Value")

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


@dataclass(frozen=True)
class _Pattern:
    entry: int
    part: int
    expression: re.Pattern[str]


@dataclass
class _Translated:
    tensors: Tensors = field(default_factory=dict)
    origin: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def _patterns(entries: tuple[Entry, ...], side: str) -> list[_Pattern]:
    patterns = []
    for index, entry in enumerate(entries):
        for part, template in enumerate(getattr(entry, side)):
            text = re.escape(template)
            text = text.replace(r"\{stage\}", r"(?P<stage>\d+)")
            text = text.replace(r"\{block\}", r"(?P<block>\d+)")
            patterns.append(_Pattern(index, part, re.compile(text)))
    return patterns


def _match(
    name: str, patterns: list[_Pattern], entries: tuple[Entry, ...], reading: bool
) -> tuple[int, int, int, int] | None:
    """(entry, part, native stage, block) of a name, or None."""
    for pattern in patterns:
        found = pattern.expression.fullmatch(name)
        if found is None:
            continue
        numbers = found.groupdict()
        stage, block = int(numbers.get("stage") or 0), int(numbers.get("block") or 0)
        entry = entries[pattern.entry]
        if reading and "stage" in numbers:
            stage, rest = divmod(stage - entry.first, entry.step)
            if rest or stage < 0:
                continue
        return pattern.entry, pattern.part, stage, block
    return None


def translate(tensors: Mapping[str, Tensor], entries: tuple[Entry, ...], to: str) -> _Translated:
    """Rename and recompute every tensor that a row knows; `to` is "native" or "foreign"."""
    reading = to == "native"
    side = "foreign" if reading else "native"
    patterns = _patterns(entries, side)
    groups: dict[tuple[int, int, int], dict[int, str]] = {}
    result = _Translated()
    for name in tensors:
        found = _match(name, patterns, entries, reading)
        if found is None:
            result.left.append(name)
        else:
            index, part, stage, block = found
            groups.setdefault((index, stage, block), {})[part] = name
    for (index, stage, block), parts in groups.items():
        entry = entries[index]
        if len(parts) != len(getattr(entry, side)):
            result.incomplete.extend(parts.values())
            continue
        names = tuple(parts[part] for part in range(len(parts)))
        convert = entry.read if reading else entry.write
        values = convert(tuple(tensors[name] for name in names))
        number = stage if reading else entry.step * stage + entry.first
        for template, value in zip(getattr(entry, to), values, strict=True):
            made = template.replace("{stage}", str(number)).replace("{block}", str(block))
            result.tensors[made] = value
            result.origin[made] = names
    return result


def version_of(names: Mapping[str, Tensor]) -> Version:
    """2 where a learned logit scale shows cosine attention, else 1."""
    return 2 if any(name.endswith("logit_scale") for name in names) else 1


def rows(source: Source, version: Version) -> tuple[Entry, ...]:
    return tuple(entry for entry in source.entries if entry.version in (None, version))


def prefix_of(source: Source, names: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """(outer, inner) prefix in front of the source's keys, or None where its anchor is absent."""
    anchor = re.compile(rf"(?P<prefix>(?:.*?\.)??)(?:{source.anchor})")
    found = {match["prefix"] for match in map(anchor.fullmatch, names) if match}
    if not found:
        return None
    prefix = min(found, key=lambda text: (len(text), text))
    for inner in source.inner:
        if prefix == inner or prefix.endswith("." + inner):
            return prefix[: len(prefix) - len(inner)], inner
    return prefix, ""


def read(source: Source, state: Mapping[str, Tensor]) -> NativeState:
    """A file of `source` in native names, with everything left over accounted for."""
    outer, inner = prefix_of(source, state) or ("", "")
    entries = rows(source, version_of(state))
    native = NativeState(version=version_of(state))
    body: Tensors = {}
    beside: Tensors = {}
    spelled: dict[str, str] = {}
    for key, value in state.items():
        is_body = key.startswith(outer + inner)
        if not key.startswith(outer):
            native.other.append(key)
            continue
        name = key[len(outer + inner) :] if is_body else key[len(outer) :]
        for expression, replacement in source.aliases:
            name = re.sub(expression, replacement, name)
        spelled[name] = key
        (body if is_body else beside)[name] = value
    kept = _set_aside(source, body, native, spelled)
    inside = tuple(entry for entry in entries if not (entry.outer and inner))
    done = translate(kept, inside, "native")
    heads = translate(beside, tuple(entry for entry in entries if entry.outer), "native")
    native.tensors = _name_last({**done.tensors, **heads.tensors}, reading=True)
    last_names = _name_last({**done.origin, **heads.origin}, reading=True)
    native.renamed = {
        name: tuple(spelled[part] for part in parts) for name, parts in last_names.items()
    }
    native.unexpected = [spelled[name] for name in done.left]
    native.other += [spelled[name] for name in heads.left]
    native.incomplete = [spelled[name] for name in done.incomplete + heads.incomplete]
    return native


def _set_aside(
    source: Source, body: Tensors, native: NativeState, spelled: dict[str, str]
) -> Tensors:
    """Sort out derived buffers and what the source is known to carry without use."""
    block = re.escape(source.block).replace(r"\{stage\}", r"(?P<stage>\d+)")
    block = block.replace(r"\{block\}", r"\d+")
    derived = re.compile(block + r"\..*?(?P<name>" + "|".join(DERIVED) + ")")
    step, first = next((e.step, e.first) for e in source.entries if "{block}" in e.foreign[0])
    kept: Tensors = {}
    for name, value in body.items():
        buffer = derived.fullmatch(name)
        reasons = [why for expression, why in source.ignored if re.fullmatch(expression, name)]
        if buffer:
            stage = (int(buffer["stage"]) - first) // step
            native.derived.setdefault((stage, buffer["name"]), value)
            native.num_derived += 1
        elif reasons:
            native.ignored[spelled[name]] = reasons[0]
        else:
            kept[name] = value
    return kept


def _name_last(tensors: dict[str, Value], *, reading: bool) -> dict[str, Value]:
    """Put the number of the last stage where a row says {last}, or the other way round."""
    stages = [int(m[1]) for m in (re.match(r"stages\.(\d+)\.", name) for name in tensors) if m]
    numbered = f"norms.{max(stages, default=0)}."
    old, new = ("norms.{last}.", numbered) if reading else (numbered, "norms.{last}.")
    return {name.replace(old, new): value for name, value in tensors.items()}


def write(source: Source, tensors: Mapping[str, Tensor], version: Version) -> Tensors:
    """Native tensors in the source's names. Raises KeyError naming a tensor without a row."""
    entries = rows(source, version)
    single = any("{last}" in name for entry in entries for name in entry.native)
    named = _name_last(dict(tensors), reading=False) if single else dict(tensors)
    done = translate(named, entries, "foreign")
    unknown = done.left + done.incomplete
    if unknown:
        raise KeyError(unknown[0])
    return done.tensors


def concatenate(group: Group) -> Group:
    """Query, key, value tensors as one, along the first axis."""
    return (torch.cat(group),)


def split_three(group: Group) -> Group:
    return tuple(part.clone() for part in group[0].chunk(3))
