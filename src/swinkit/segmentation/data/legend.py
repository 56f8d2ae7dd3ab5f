"""Class lists and legends: which name, and which color or number, a class has in masks."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swinkit.data.splits import SPLIT_ALIASES
from swinkit.errors import DataError
from swinkit.parsing import integer, parse_json, read_table, read_text

Color = tuple[int, int, int]

# In the order of preference; the first that exists is read.
LEGEND_FILES = tuple(
    f"{stem}{suffix}"
    for stem in (
        *("legend", "classes", "class_dict", "labelmap", "label_colors", "palette"),
        *("class_names", "_classes", "labels", "names"),
    )
    for suffix in (".csv", ".json", ".txt")
)
VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled", "__ignore__"})
LARGEST = 2**31 - 1  # number that masks may hold
NO_NUMBER = "__ignore__"  # labelme's first line, which counts as -1

NAME_COLUMNS = ("name", "class", "class_name", "classname", "label", "label_name", "category")
VALUE_COLUMNS = (
    *("pixel value", "pixel_value", "pixelvalue", "pixel", "value", "gray", "grey", "id"),
    *("class_id", "label_id", "category_id", "index", "code", "number", "trainid", "train_id"),
)
COLOR_COLUMNS = (("r", "g", "b"), ("red", "green", "blue"))
HEX_COLUMNS = ("color", "colour", "rgb", "hex")
_COLOR_FIRST = re.compile(r"^(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;:]+(\S.*)$")
_COLOR_LAST = re.compile(r"^(.*?\S)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})\b.*$")
_VALUE_FIRST = re.compile(r"^(\d+)\s*[\s,;:=]\s*(\D.*)$")
_VALUE_LAST = re.compile(r"^(.*\S)\s*[,;:=\t]\s*(\d+)$")


@dataclass(frozen=True)
class LegendLine:
    """One line of a legend; `color` and `value` are None in a plain class list."""

    name: str
    color: Color | None = None
    value: int | None = None

    @property
    def is_void(self) -> bool:
        """Whether pixels of it do not count."""
        return self.name.lower() in VOID_NAMES


def find_legend(folder: Path) -> Path | None:
    """The class list or legend of a data set, or None; where each split has one, the first.

    Raises:
        DataError: the splits' files name different classes.
    """
    found = _legend_in(folder)
    if found is not None:
        return found
    splits = [child for child in sorted(folder.iterdir()) if child.name.lower() in SPLIT_ALIASES]
    files = [file for child in splits if child.is_dir() and (file := _legend_in(child))]
    for file in files[1:]:
        if read_legend(file) != read_legend(files[0]):
            raise DataError(f"{file}: differs from {files[0]}; make them the same")
    return files[0] if files else None


def _legend_in(folder: Path) -> Path | None:
    names = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_file()}
    return next((names[name] for name in LEGEND_FILES if name in names), None)


def read_legend(path: Path) -> tuple[LegendLine, ...]:
    """Entries in the order of the file.

    Read are: tables under a heading with columns such as name, value, r, g, b; text lines of a
    name, of a name and a number or r g b in either order, or of CVAT's `name:r,g,b::`; JSON as a
    list of names, a list of objects with `name` and `color` or `id`, or an object from name to
    color or number, or from number to name.

    Raises:
        DataError: unreadable, empty, partly without colors, or one color or number for two classes.
    """
    text = read_text(path)
    if path.suffix.lower() == ".json":
        entries = _from_json(parse_json(text, str(path)), path)
    else:
        entries = _from_table(path, text) or _from_lines(text)
    if not entries:
        raise DataError(f"{path}: names no class; write one per line, as name or name,r,g,b")
    bare = [entry.name for entry in entries if entry.color is None]
    if bare and len(bare) < len(entries):
        raise DataError(f"{path}: {bare[0]!r} has no color but others have; give each name,r,g,b")
    _refuse_shared(entries, path)
    return tuple(entries)


def _refuse_shared(entries: list[LegendLine], path: Path) -> None:
    owners: dict[Color | int, str] = {}
    for entry in entries:
        if entry.color is not None and (max(entry.color) > 255 or min(entry.color) < 0):
            raise DataError(f"{path}: {entry.name!r} has color {entry.color}; use 0 to 255")
        if entry.value is not None and abs(entry.value) > LARGEST:
            raise DataError(f"{path}: {entry.name!r} has value {entry.value}; use 0 to {LARGEST}")
        for kind, key in (("color", entry.color), ("value", entry.value)):
            if key is not None and owners.setdefault(key, entry.name) != entry.name:
                raise DataError(
                    f"{path}: {owners[key]!r} and {entry.name!r} share the {kind} {key}; give "
                    "each its own"
                )


def class_list(entries: tuple[LegendLine, ...]) -> tuple[str, ...]:
    """Names in order, void left out; several colors of one name are one class."""
    return tuple(dict.fromkeys(entry.name for entry in entries if not entry.is_void))


def _from_table(path: Path, text: str) -> list[LegendLine]:
    """Lines under a heading; none where there is no heading."""
    start = next((line for line in text.splitlines() if line.strip()), "")
    if not set(NAME_COLUMNS) & set(re.split(r"\s*[,;\t]\s*", start.strip().lower())):
        return []
    rows = list(read_table(path))
    heading = list(rows[0][1]) if rows else []
    name = next((column for column in NAME_COLUMNS if column in heading), None)
    if name is None:
        return []
    value = next((column for column in VALUE_COLUMNS if column in heading), None)
    if value is None:  # "name" beside "label" with numbers
        others = [column for column in NAME_COLUMNS if column in heading and column != name]
        numbered = (c for c in others if all(integer(row[c]) is not None for _, row in rows))
        value = next(numbered, None)
    colors = next((three for three in COLOR_COLUMNS if set(three) <= set(heading)), None)
    written = next((column for column in HEX_COLUMNS if column in heading), None)
    entries = []
    for line, row in rows:
        color: Any = None
        if colors is not None:
            color = [row[channel] for channel in colors]
        elif written is not None:
            color = row[written]
        number = None if value is None else integer(row[value])
        if not row[name] or (value is not None and number is None):
            empty = name if not row[name] else value
            raise DataError(f"{path}, line {line}: {empty} is {row[str(empty)]!r}; correct it")
        entries.append(LegendLine(row[name], _color(color, f"{path}, line {line}"), number))
    return entries


def _from_lines(text: str) -> list[LegendLine]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return (
        _with_values(lines, _VALUE_FIRST, name=2, value=1)
        or _with_values(lines, _VALUE_LAST, name=1, value=2)
        or [_from_line(line) for line in lines]
    )


def _with_values(
    lines: list[str], form: re.Pattern[str], name: int, value: int
) -> list[LegendLine]:
    """Lines that all have a number of their own beside the name; none where one has not."""
    if any(_COLOR_FIRST.match(line) or _COLOR_LAST.match(line) for line in lines):
        return []
    matches = [match for line in lines if (match := form.match(line))]
    entries = [LegendLine(_clean(match[name]), None, integer(match[value])) for match in matches]
    alone = {entry.name for entry in entries}, {entry.value for entry in entries}
    whole = len(matches) == len(lines) and all(len(part) == len(lines) for part in alone)
    return entries if whole and None not in alone[1] else []


def _from_line(line: str) -> LegendLine:
    if match := _COLOR_FIRST.match(line):
        red, green, blue, name = match.groups()
        return LegendLine(_clean(name), (int(red), int(green), int(blue)))
    if match := _COLOR_LAST.match(line):
        name, red, green, blue = match.groups()
        return LegendLine(_clean(name), (int(red), int(green), int(blue)))
    try:
        return LegendLine(_clean(next(csv.reader([line]))[0]))
    except csv.Error:  # a line too long for a name, or with zero bytes
        return LegendLine(_clean(line))


def _clean(name: str) -> str:
    return name.strip().strip("\"'").strip()


def _from_json(values: Any, path: Path) -> list[LegendLine]:
    if isinstance(values, Mapping):
        listed = [values.get(key) for key in ("categories", "classes", "labels")]
        values = next((value for value in listed if isinstance(value, (list, Mapping))), values)
    if isinstance(values, list):
        return [_from_item(item, f"{path}, entry {number}") for number, item in enumerate(values)]
    if not isinstance(values, Mapping):
        raise DataError(f"{path}: holds no list of classes; write a list of their names")
    if all(integer(key) is not None for key in values):
        items = sorted((int(key), item) for key, item in values.items())
        return [
            LegendLine(entry.name, entry.color, number)
            for number, item in items
            for entry in [_from_item(item, f"{path}, entry {number}")]
        ]
    return [
        LegendLine(str(name), None, integer(value))
        if integer(value) is not None
        else LegendLine(str(name), _color(value, f"{path}, {name}"))
        for name, value in values.items()
    ]


def _from_item(item: Any, where: str) -> LegendLine:
    if isinstance(item, str):
        return LegendLine(item)
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), (str, int)):
        raise DataError(f"{where}: has no name; write names, or objects with name and color")
    color = next((item[key] for key in HEX_COLUMNS if key in item), None)
    value = next((integer(item[key]) for key in VALUE_COLUMNS if key in item), None)
    return LegendLine(str(item["name"]), _color(color, where), value)


def _color(values: Any, where: str) -> Color | None:
    """Of [r, g, b], "r g b" in any writing, or "#rrggbb"; None where there is none."""
    if values is None or values == "":
        return None
    if isinstance(values, str):
        code = values.strip()
        if re.fullmatch(r"#[0-9a-fA-F]{6,8}", code):
            values = list(bytes.fromhex(code[1:7]))
        else:
            values = re.findall(r"-?\d+", code)
    numbers = [integer(value) for value in values[:3]] if isinstance(values, (list, tuple)) else []
    if len(numbers) != 3 or None in numbers:
        raise DataError(f"{where}: the color is {values!r}; write three numbers from 0 to 255")
    red, green, blue = (int(number or 0) for number in numbers)
    return red, green, blue
