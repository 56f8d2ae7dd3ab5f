"""Moving tensors through a table of names: foreign to native, native to foreign."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from swinkit.checkpoints.infer_window import BackboneEvidence
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources.base import HeadTable, Source, WeightFile
from swinkit.checkpoints.sources.tables import KeyTable, Rows, Tensors, Version, find_prefix
from swinkit.errors import CheckpointError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class FoundHeads:
    """Necks and heads beside a backbone, still in their own names.

    Attributes:
        table: that reads them.
        tensors: name that the table reads to (name in the file, tensor).
        guesses: what the file does not prove.
    """

    table: HeadTable
    tensors: Mapping[str, tuple[str, Tensor]]
    guesses: list[str]


@dataclass
class _Translated:
    tensors: Tensors = field(default_factory=dict)
    origin: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def translate(tensors: Mapping[str, Tensor], rows: Rows, *, to_native: bool) -> _Translated:
    """Rename and recompute every tensor that a row knows.

    Raises:
        CheckpointError: a tensor of a shape that cannot be recomputed.
    """
    result = _Translated()
    for (index, stage, block), parts in _group(tensors, rows, to_native, result.left).items():
        row = rows[index]
        given, made_names, convert, number = row.foreign, row.native, row.read, stage
        if not to_native:
            given, made_names, convert = row.native, row.foreign, row.write
            number = row.step * stage + row.first
        if len(parts) != len(given):
            result.incomplete.extend(parts.values())
            continue
        names = tuple(parts[part] for part in range(len(parts)))
        try:
            values = convert(tuple(tensors[name] for name in names))
        except (RuntimeError, ValueError, LookupError) as error:
            shapes = ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in names)
            raise CheckpointError(
                f"tensors of shapes that no Swin has ({shapes}); get the file again"
            ) from error
        for template, value in zip(made_names, values, strict=True):
            made = template.replace("{stage}", str(number)).replace("{block}", str(block))
            result.tensors[made] = value
            result.origin[made] = names
    return result


def _group(
    names: Mapping[str, object], rows: Rows, to_native: bool, left: list[str]
) -> dict[tuple[int, int, int], dict[int, str]]:
    """(row, native stage, block) to its names by their place in the row; `left` gets the others."""
    matchers = [
        (index, part, _matcher(template))
        for index, row in enumerate(rows)
        for part, template in enumerate(row.foreign if to_native else row.native)
    ]
    groups: dict[tuple[int, int, int], dict[int, str]] = {}
    for name in names:
        for index, part, matcher in matchers:
            found = matcher.fullmatch(name)
            if found is None:
                continue
            numbers = {key: int(value) for key, value in found.groupdict().items()}
            stage, rest = numbers.get("stage", 0), 0
            if to_native and "stage" in numbers:
                stage, rest = divmod(stage - rows[index].first, rows[index].step)
            if rest == 0 and stage >= 0:
                groups.setdefault((index, stage, numbers.get("block", 0)), {})[part] = name
                break
        else:
            left.append(name)
    return groups


def _matcher(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(stage|block)\\}", r"(?P<\1>\\d+)", re.escape(template)))


def read_backbone(
    table: KeyTable, state: Mapping[str, Tensor], report: LoadReport
) -> BackboneEvidence:
    """A file in native names, with everything left over reported.

    Raises:
        CheckpointError: a tensor stands without those that belong to it.
    """
    outer, inner = table.prefix(state) or ("", "")
    body: Tensors = {}
    beside: Tensors = {}
    original: dict[str, str] = {}
    for key, value in state.items():
        if not key.startswith(outer):
            report.other.append(key)
            continue
        is_body = key.startswith(outer + inner)
        name = key.removeprefix(outer + inner if is_body else outer)
        for expression, replacement in table.aliases:
            name = re.sub(expression, replacement, name)
        original[name] = key
        (body if is_body else beside)[name] = value
    result = BackboneEvidence(
        origin=report.origin,
        version=_version(table, {**body, **beside}),
        rule=table.small_map_rule,
        shrinks=table.shrinks_windows,
    )
    kept = _set_aside(table, body, result, original, report)
    rows = _rows_of(table, result.version)
    inside = tuple(row for row in rows if not (row.outer and inner))
    done = translate(kept, inside, to_native=True)
    heads = translate(beside, tuple(row for row in rows if row.outer), to_native=True)
    _refuse_incomplete(done.incomplete + heads.incomplete, original, report.origin)
    result.tensors = _number_last({**done.tensors, **heads.tensors})
    _report_renamed(_number_last({**done.origin, **heads.origin}), original, report)
    report.unexpected += [original[name] for name in done.left]
    report.other += [original[name] for name in heads.left]
    return result


def _version(table: KeyTable, names: Mapping[str, object]) -> Version:
    """A learned logit scale shows V2's cosine attention."""
    scales = [
        _matcher(row.foreign[0]) for row in table.rows if row.native[0].endswith(".logit_scale")
    ]
    return 2 if any(scale.fullmatch(name) for scale in scales for name in names) else 1


def _rows_of(table: KeyTable, version: Version) -> Rows:
    return tuple(row for row in table.rows if row.version in (None, version))


def _set_aside(
    table: KeyTable,
    body: Tensors,
    result: BackboneEvidence,
    original: Mapping[str, str],
    report: LoadReport,
) -> Tensors:
    """Sort out derived buffers and what the source is known to carry without use."""
    block, names = _matcher(table.block).pattern, "|".join(map(re.escape, table.derived))
    derived = re.compile(rf"{block}\..*?(?P<name>{names})")
    step, first = table.stage_numbering
    kept: Tensors = {}
    for name, value in body.items():
        buffer = derived.fullmatch(name)
        reasons = [why for expression, why in table.ignored if re.fullmatch(expression, name)]
        if buffer:
            stage = (int(buffer["stage"]) - first) // step
            result.derived.setdefault((stage, table.derived[buffer["name"]]), value)
            report.derived += 1
        elif reasons:
            report.ignored[original[name]] = reasons[0]
        else:
            kept[name] = value
    return kept


def _refuse_incomplete(names: list[str], original: Mapping[str, str], origin: str) -> None:
    if names:
        raise CheckpointError(
            f"{origin}: {original[names[0]]} stands without the tensors that belong to it"
        )


def _report_renamed(
    origin: Mapping[str, tuple[str, ...]], original: Mapping[str, str], report: LoadReport
) -> None:
    for name, parts in origin.items():
        names = tuple(original[part] for part in parts)
        if names not in ((name,), (f"backbone.{name}",)):
            report.renamed[name] = names


def _number_last(named: dict[str, Value]) -> dict[str, Value]:
    """Put the number of the last stage where a row says {last}."""
    last = _last_norm(named)
    return {name.replace("norms.{last}.", last): value for name, value in named.items()}


def _last_norm(names: Mapping[str, object]) -> str:
    stages = [int(m[1]) for m in (re.match(r"stages\.(\d+)\.", name) for name in names) if m]
    return f"norms.{max(stages, default=0)}."


def find_heads(
    source: Source, others: Tensors, unused: Tensors, file: WeightFile
) -> FoundHeads | None:
    """The heads among a file's tensors, or None where they are no model that swinkit builds.

    Args:
        others: tensors that do not belong to the backbone, by the file's own names.
        unused: tensors in the backbone that it has no use for, likewise.
    """
    present, guesses = source.modernize(others, file)
    for table in source.head_tables() if others else ():
        prefix = find_prefix(table.anchor, present)
        if prefix is None:
            continue
        inside = {
            name.removeprefix(prefix): entry
            for name, entry in present.items()
            if name.startswith(prefix)
        }
        for name, value in unused.items():
            if table.inside and re.fullmatch(table.inside, name.removeprefix(prefix)):
                inside[name.removeprefix(prefix)] = (name, value)
        if table.matches(inside):
            return FoundHeads(table=table, tensors=inside, guesses=guesses)
    return None


def read_heads(heads: FoundHeads, report: LoadReport) -> Tensors:
    """Necks and heads in native names; in the report they are no longer another model's parts.

    Raises:
        CheckpointError: a tensor stands without those that belong to it.
    """
    tensors = {name: value for name, (_, value) in heads.tensors.items()}
    original = {name: key for name, (key, _) in heads.tensors.items()}
    report.guesses += heads.guesses
    taken = set(original.values())
    report.other = [name for name in report.other if name not in taken]
    report.ignored = {name: why for name, why in report.ignored.items() if name not in taken}
    if heads.table.rows is None:
        _report_renamed({name: (name,) for name in tensors}, original, report)
        return tensors
    done = translate(tensors, heads.table.rows(tensors), to_native=True)
    _refuse_incomplete(done.incomplete, original, report.origin)
    _report_renamed(done.origin, original, report)
    report.unexpected += [original[name] for name in done.left]
    return done.tensors


def write_backbone(table: KeyTable, tensors: Tensors, version: Version) -> Tensors:
    """Native tensors in the table's names.

    Raises:
        CheckpointError: a tensor that the table has no name for.
    """
    if table.norms_last_stage_only:
        last = _last_norm(tensors)
        tensors = {name.replace(last, "norms.{last}."): value for name, value in tensors.items()}
    return _written(tensors, _rows_of(table, version), table.name)


def write_heads(
    table: HeadTable, tensors: Tensors, target: str, names: Mapping[str, Tensor]
) -> Tensors:
    """Necks and heads in the table's names, relative to the whole model.

    Args:
        names: of the whole model's tensors.

    Raises:
        CheckpointError: a tensor that the table has no name for.
    """
    return tensors if table.rows is None else _written(tensors, table.rows(names), target)


def _written(tensors: Tensors, rows: Rows, layout: str) -> Tensors:
    done = translate(tensors, rows, to_native=False)
    unknown = done.left + done.incomplete
    if unknown:
        raise CheckpointError(f"layout {layout} has no name for {unknown[0]}")
    return {name: value.contiguous() for name, value in done.tensors.items()}
