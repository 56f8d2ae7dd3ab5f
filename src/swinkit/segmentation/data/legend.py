"""Class lists and legends: which name, and which color or number, a class has in masks."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swinkit.errors import DataError

Color = tuple[int, int, int]

# In the order of preference; the first that exists is read.
LEGEND_FILES = tuple(
    f"{stem}{suffix}"
    for stem in (
        *("legend", "classes", "class_dict", "labelmap", "label_colors", "palette"),
        *("class_names", "labels", "names"),
    )
    for suffix in (".csv", ".json", ".txt")
)
VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled"})
_COLOR_FIRST = re.compile(r"^(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;:]+(\S.*)$")
_COLOR_LAST = re.compile(r"^(.*?\S)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})\b.*$")


@dataclass(frozen=True)
class LegendLine:
    """One line of a legend; `color` is None in a plain class list."""

    name: str
    color: Color | None = None

    @property
    def is_void(self) -> bool:
        """Whether pixels of it do not count."""
        return self.name.lower() in VOID_NAMES


def find_legend(folder: Path) -> Path | None:
    """The class list or legend of a data set, or None."""
    names = {child.name.lower(): child for child in folder.iterdir() if child.is_file()}
    return next((names[name] for name in LEGEND_FILES if name in names), None)


def read_legend(path: Path) -> tuple[LegendLine, ...]:
    """Entries in the order of the file.

    Read are: CSV lines of name, r, g, b (with a heading or not); text lines of a name, of a name
    and r g b in either order, or of CVAT's `name:r,g,b::`; JSON as a list of names, a list of
    objects with `name` and `color`, or an object from name to color or from number to name.

    Raises:
        DataError: unreadable, empty, partly without colors, or one color for two classes.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = _from_json(json.loads(text)) if path.suffix == ".json" else _from_lines(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read as a class list ({error}); write one class per line, as "
            "name or name,r,g,b"
        ) from error
    if not entries:
        raise DataError(f"{path}: names no class; write one per line, as name or name,r,g,b")
    bare = [entry.name for entry in entries if entry.color is None]
    if bare and len(bare) < len(entries):
        raise DataError(f"{path}: {bare[0]!r} has no color but others have; give each name,r,g,b")
    owners: dict[Color, str] = {}
    for entry in entries:
        if entry.color is None:
            continue
        if max(entry.color) > 255 or min(entry.color) < 0:
            raise DataError(f"{path}: {entry.name!r} has color {entry.color}; use 0 to 255")
        if owners.setdefault(entry.color, entry.name) != entry.name:
            raise DataError(
                f"{path}: {owners[entry.color]!r} and {entry.name!r} share the color "
                f"{entry.color}; give each its own"
            )
    return tuple(entries)


def class_list(entries: tuple[LegendLine, ...]) -> tuple[str, ...]:
    """Names in order, void left out; several colors of one name are one class."""
    return tuple(dict.fromkeys(entry.name for entry in entries if not entry.is_void))


def _from_lines(text: str) -> list[LegendLine]:
    entries = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        entry = _from_line(line)
        if entry is not None:
            entries.append(entry)
    return entries


def _from_line(line: str) -> LegendLine | None:
    """None for a heading."""
    if match := _COLOR_FIRST.match(line):
        red, green, blue, name = match.groups()
        return LegendLine(_clean(name), (int(red), int(green), int(blue)))
    if match := _COLOR_LAST.match(line):
        name, red, green, blue = match.groups()
        return LegendLine(_clean(name), (int(red), int(green), int(blue)))
    fields = [field.strip() for field in next(csv.reader([line]))]
    if [field.lower() for field in fields[1:4]] == ["r", "g", "b"]:
        return None
    if len(fields) == 1 and fields[0].lower() in ("name", "class", "label"):
        return None
    return LegendLine(_clean(fields[0]))


def _clean(name: str) -> str:
    return name.strip().strip("\"'").strip()


def _from_json(values: Any) -> list[LegendLine]:
    if isinstance(values, dict) and isinstance(values.get("categories"), list):
        values = values["categories"]
    if isinstance(values, list):
        return [_from_item(item) for item in values]
    if all(str(key).isdigit() for key in values):
        return [_from_item(values[key]) for key in sorted(values, key=int)]
    return [LegendLine(str(name), _color(color)) for name, color in values.items()]


def _from_item(item: Any) -> LegendLine:
    if isinstance(item, str):
        return LegendLine(item)
    color = next((item[key] for key in ("color", "colour", "rgb") if key in item), None)
    return LegendLine(str(item["name"]), _color(color))


def _color(values: Any) -> Color | None:
    if values is None or isinstance(values, int):
        return None
    if isinstance(values, str) and values.startswith("#"):
        values = bytes.fromhex(values[1:7])
    red, green, blue = (int(value) for value in list(values)[:3])
    return red, green, blue
