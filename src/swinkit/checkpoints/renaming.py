"""Moving tensors through a table of names: foreign to native, native to foreign."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from swinkit.checkpoints.keymap import DERIVED, Entry, NativeState, Source, Tensors, Version

Value = TypeVar("Value")


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
