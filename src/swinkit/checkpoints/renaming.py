"""Moving tensors through a table of names: foreign to native, native to foreign."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from swinkit.checkpoints.sources.base import HeadTable, Source, WeightFile
from swinkit.checkpoints.sources.tables import (
    KeyTable,
    Rows,
    Tensors,
    Version,
    find_prefix,
)
from swinkit.errors import CheckpointError

Value = TypeVar("Value")
DERIVED = ("relative_position_index", "relative_coords_table", "attn_mask", "k_bias")


@dataclass
class RenamedTensors:
    """A backbone's tensors, with a classifier's head, in swinkit's names.

    Attributes:
        tensors: by native name.
        derived: first buffer found per (stage, buffer name): evidence for inference, never weights.
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


@dataclass(kw_only=True)
class HeadTensors:
    """Necks and heads beside a backbone, in swinkit's names.

    Attributes:
        table: by which they were read.
        renamed: native name to the foreign names it came from.
        unexpected: foreign names below the heads' prefix that no row explains.
        guesses: what the file does not prove.
    """

    table: HeadTable
    tensors: Tensors
    renamed: dict[str, tuple[str, ...]]
    unexpected: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pattern:
    row: int
    part: int
    expression: re.Pattern[str]


@dataclass
class _Translated:
    tensors: Tensors = field(default_factory=dict)
    origin: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def _patterns(rows: Rows, side: str) -> list[_Pattern]:
    patterns = []
    for index, row in enumerate(rows):
        for part, template in enumerate(getattr(row, side)):
            text = re.escape(template)
            text = text.replace(r"\{stage\}", r"(?P<stage>\d+)")
            text = text.replace(r"\{block\}", r"(?P<block>\d+)")
            patterns.append(_Pattern(index, part, re.compile(text)))
    return patterns


def _match(
    name: str, patterns: list[_Pattern], rows: Rows, reading: bool
) -> tuple[int, int, int, int] | None:
    """(row, part, native stage, block) of a name, or None."""
    for pattern in patterns:
        found = pattern.expression.fullmatch(name)
        if found is None:
            continue
        numbers = found.groupdict()
        stage, block = int(numbers.get("stage") or 0), int(numbers.get("block") or 0)
        row = rows[pattern.row]
        if reading and "stage" in numbers:
            stage, rest = divmod(stage - row.first, row.step)
            if rest or stage < 0:
                continue
        return pattern.row, pattern.part, stage, block
    return None


def translate(tensors: Mapping[str, Tensor], rows: Rows, to: str) -> _Translated:
    """Rename and recompute every tensor that a row knows; `to` is "native" or "foreign"."""
    reading = to == "native"
    side = "foreign" if reading else "native"
    patterns = _patterns(rows, side)
    groups: dict[tuple[int, int, int], dict[int, str]] = {}
    result = _Translated()
    for name in tensors:
        found = _match(name, patterns, rows, reading)
        if found is None:
            result.left.append(name)
        else:
            index, part, stage, block = found
            groups.setdefault((index, stage, block), {})[part] = name
    for (index, stage, block), parts in groups.items():
        row = rows[index]
        if len(parts) != len(getattr(row, side)):
            result.incomplete.extend(parts.values())
            continue
        names = tuple(parts[part] for part in range(len(parts)))
        convert = row.read if reading else row.write
        values = convert(tuple(tensors[name] for name in names))
        number = stage if reading else row.step * stage + row.first
        for template, value in zip(getattr(row, to), values, strict=True):
            made = template.replace("{stage}", str(number)).replace("{block}", str(block))
            result.tensors[made] = value
            result.origin[made] = names
    return result


def read_backbone(table: KeyTable, state: Mapping[str, Tensor]) -> RenamedTensors:
    """A file in native names, with everything left over accounted for."""
    outer, inner = table.prefix(state) or ("", "")
    # A learned logit scale shows V2's cosine attention.
    version: Version = 2 if any(name.endswith("logit_scale") for name in state) else 1
    rows = _rows_of(table, version)
    result = RenamedTensors(version=version)
    body: Tensors = {}
    beside: Tensors = {}
    original: dict[str, str] = {}
    for key, value in state.items():
        if not key.startswith(outer):
            result.other.append(key)
            continue
        is_body = key.startswith(outer + inner)
        name = key.removeprefix(outer + inner if is_body else outer)
        for expression, replacement in table.aliases:
            name = re.sub(expression, replacement, name)
        original[name] = key
        (body if is_body else beside)[name] = value
    kept = _set_aside(table, body, result, original)
    inside = translate(kept, tuple(row for row in rows if not (row.outer and inner)), "native")
    heads = translate(beside, tuple(row for row in rows if row.outer), "native")
    result.tensors = _number_last({**inside.tensors, **heads.tensors})
    result.renamed = {
        name: tuple(original[part] for part in parts)
        for name, parts in _number_last({**inside.origin, **heads.origin}).items()
    }
    result.unexpected = [original[name] for name in inside.left]
    result.other += [original[name] for name in heads.left]
    result.incomplete = [original[name] for name in inside.incomplete + heads.incomplete]
    return result


def _rows_of(table: KeyTable, version: Version) -> Rows:
    return tuple(row for row in table.rows if row.version in (None, version))


def _set_aside(
    table: KeyTable, body: Tensors, result: RenamedTensors, original: dict[str, str]
) -> Tensors:
    """Sort out derived buffers and what the source is known to carry without use."""
    block = re.escape(table.block).replace(r"\{stage\}", r"(?P<stage>\d+)")
    block = block.replace(r"\{block\}", r"\d+")
    derived = re.compile(block + r"\..*?(?P<name>" + "|".join(DERIVED) + ")")
    step, first = table.stage_numbering
    kept: Tensors = {}
    for name, value in body.items():
        buffer = derived.fullmatch(name)
        reasons = [why for expression, why in table.ignored if re.fullmatch(expression, name)]
        if buffer:
            stage = (int(buffer["stage"]) - first) // step
            result.derived.setdefault((stage, buffer["name"]), value)
            result.num_derived += 1
        elif reasons:
            result.ignored[original[name]] = reasons[0]
        else:
            kept[name] = value
    return kept


def _number_last(named: dict[str, Value]) -> dict[str, Value]:
    """Put the number of the last stage where a row says {last}."""
    last = _last_norm(named)
    return {name.replace("norms.{last}.", last): value for name, value in named.items()}


def _last_norm(names: Mapping[str, object]) -> str:
    stages = [int(m[1]) for m in (re.match(r"stages\.(\d+)\.", name) for name in names) if m]
    return f"norms.{max(stages, default=0)}."


def read_heads(source: Source, others: Tensors, file: WeightFile) -> HeadTensors | None:
    """The heads among a file's tensors, or None where they are no model that swinkit builds.

    Args:
        others: tensors that do not belong to the backbone, by the file's own names.

    Raises:
        CheckpointError: a tensor stands without those that belong to it.
    """
    if not others:
        return None
    present, guesses = source.modernize(others, file)
    for table in source.head_tables():
        prefix = find_prefix(table.anchor, present)
        if prefix is None:
            continue
        inside = {
            name.removeprefix(prefix): entry
            for name, entry in present.items()
            if name.startswith(prefix)
        }
        if table.matches(inside):
            heads = _renamed_heads(table, inside, file.origin)
            heads.guesses += guesses
            return heads
    return None


def _renamed_heads(
    table: HeadTable, inside: Mapping[str, tuple[str, Tensor]], origin: str
) -> HeadTensors:
    tensors = {name: value for name, (_, value) in inside.items()}
    original = {name: key for name, (key, _) in inside.items()}
    if table.rows is None:
        renamed: dict[str, tuple[str, ...]] = {name: (key,) for name, key in original.items()}
        return HeadTensors(table=table, tensors=tensors, renamed=renamed)
    done = translate(tensors, table.rows(tensors), "native")
    if done.incomplete:
        raise CheckpointError(
            f"{origin}: {done.incomplete[0]} stands without the tensors that belong to it"
        )
    return HeadTensors(
        table=table,
        tensors=done.tensors,
        renamed={
            name: tuple(original[part] for part in parts) for name, parts in done.origin.items()
        },
        unexpected=[original[name] for name in done.left],
    )


def write_backbone(table: KeyTable, tensors: Tensors, version: Version) -> Tensors:
    """Native tensors in the table's names.

    Raises:
        CheckpointError: a tensor that the table has no name for.
    """
    if table.norms_last_stage_only:
        last = _last_norm(tensors)
        tensors = {name.replace(last, "norms.{last}."): value for name, value in tensors.items()}
    return _written(tensors, _rows_of(table, version), table.name)


def write_heads(table: HeadTable, tensors: Tensors, target: str) -> Tensors:
    """Necks and heads in the table's names, relative to the whole model.

    Raises:
        CheckpointError: a tensor that the table has no name for.
    """
    return tensors if table.rows is None else _written(tensors, table.rows(tensors), target)


def _written(tensors: Tensors, rows: Rows, layout: str) -> Tensors:
    done = translate(tensors, rows, "foreign")
    unknown = done.left + done.incomplete
    if unknown:
        raise CheckpointError(f"layout {layout} has no name for {unknown[0]}")
    return {name: value.contiguous() for name, value in done.tensors.items()}
