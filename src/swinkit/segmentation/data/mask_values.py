"""What the numbers or colors in a data set's masks mean. K classes."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.splits import name_some
from swinkit.errors import DataError, ImageError
from swinkit.images.reading import quiet_pillow
from swinkit.segmentation.data.legend import Color, LegendLine, class_list
from swinkit.segmentation.data.masks import (
    IGNORE,
    MOST_CLASSES,
    MOST_COLORS,
    LabelTable,
    MaskKind,
    convert_codes,
    pack,
    pascal_palette,
    read_mask,
    unpack,
)
from swinkit.settings import SizeHW


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What one mask holds.

    Attributes:
        kind: of its codes. size_hw: of the file.
        codes: distinct codes, sorted; counts: pixels of each.
        palette: (256, 3) uint8 of a palette file, else None.
    """

    kind: MaskKind
    size_hw: SizeHW
    codes: np.ndarray
    counts: np.ndarray
    palette: np.ndarray | None

    def codes_as(self, kind: MaskKind) -> np.ndarray:
        """Its codes in another kind; -1 where that cannot be."""
        codes = convert_codes(self.codes, self.kind, kind, self.palette)
        return np.full(len(self.codes), -1) if codes is None else codes


@dataclass(frozen=True, eq=False)
class Meaning:
    """The classes of a data set and how masks show them.

    Attributes:
        names: K names. table: of all masks.
        palette: colors of the classes, or None. notes: remarks.
    """

    names: tuple[str, ...]
    table: LabelTable
    palette: tuple[Color, ...] | None = None
    notes: tuple[str, ...] = ()


def scan_masks(paths: Sequence[Path]) -> dict[Path, MaskFacts | str]:
    """Decode masks in threads: what each holds, or why it cannot be used."""
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(paths, pool.map(_facts, paths), strict=True))


def _facts(path: Path) -> MaskFacts | str:
    try:
        mask = read_mask(path)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    if mask.codes.dtype == np.uint8:
        counts = np.bincount(mask.codes.reshape(-1), minlength=256)
        codes = counts.nonzero()[0]
        counts = counts[codes]
    else:
        codes, counts = np.unique(mask.codes, return_counts=True)
    if len(codes) > MOST_COLORS:
        return (
            f"the mask has {len(codes)} colors: it is a photograph, or was saved as JPEG; save "
            "masks as PNG"
        )
    return MaskFacts(mask.kind, mask.size_hw, codes, counts, mask.palette)


def infer_meaning(
    facts: Sequence[MaskFacts], legend: tuple[LegendLine, ...] | None, where: Path
) -> Meaning:
    """Decide from the masks, and the legend or class list if there is one.

    Raises:
        DataError: colors without a legend, or more classes than labels.
    """
    colored = [item for item in facts if item.kind == "color"]
    if legend is not None and legend[0].color is not None:
        palettes = [item for item in facts if item.palette is not None]
        if colored or _palette_fits(palettes, legend):
            meaning = _by_legend(legend)
        else:
            meaning = _by_list(legend, facts)
    elif colored:
        meaning = _by_pascal(facts, legend, where)
    elif legend is not None:
        meaning = _by_list(legend, facts)
    else:
        meaning = _by_numbers(facts, where)
    if len(meaning.names) > MOST_CLASSES:
        raise DataError(f"{where}: {len(meaning.names)} classes; masks hold up to {MOST_CLASSES}")
    return meaning


def _palette_fits(masks: Sequence[MaskFacts], legend: tuple[LegendLine, ...]) -> bool:
    """Whether the colors that palette files use are the legend's."""
    known = {pack(np.array(entry.color)).item() for entry in legend}
    used = {int(code) for item in masks for code in item.codes_as("color")}
    return bool(used) and used <= known


def _by_legend(legend: tuple[LegendLine, ...]) -> Meaning:
    names = class_list(legend)
    label_by_code: dict[int, int] = {}
    colors: dict[str, Color] = {}
    for entry in legend:
        if entry.color is not None:
            code = int(pack(np.array(entry.color)))
            label_by_code[code] = IGNORE if entry.is_void else names.index(entry.name)
            colors.setdefault(entry.name, entry.color)
    return Meaning(
        names, LabelTable.of("color", label_by_code), tuple(colors[name] for name in names)
    )


def _by_list(legend: tuple[LegendLine, ...], facts: Sequence[MaskFacts]) -> Meaning:
    """Number i is the i-th line; a mask of 0 and 255 alone, for two lines, is black and white."""
    names = class_list(legend)
    label_by_code = {
        number: IGNORE if entry.is_void else names.index(entry.name)
        for number, entry in enumerate(legend)
    }
    if len(names) == 2 and _used(facts) == {0, 255}:
        return Meaning(names, LabelTable.of("index", {0: 0, 255: 1}))
    label_by_code.setdefault(IGNORE, IGNORE)
    colors = [entry.color for entry in legend if not entry.is_void and entry.color is not None]
    palette = tuple(colors) if len(colors) == len(names) else None
    return Meaning(names, LabelTable.of("index", label_by_code), palette)


def _by_pascal(
    facts: Sequence[MaskFacts], legend: tuple[LegendLine, ...] | None, where: Path
) -> Meaning:
    """Palette masks that were saved as RGB: Pascal's colors in the place of numbers."""
    standard = pack(pascal_palette()).tolist()
    number_of = {code: number for number, code in reversed(list(enumerate(standard)))}
    used = {int(code) for item in facts for code in item.codes_as("color")}
    unknown = sorted(used - set(number_of))
    if unknown:
        shown = name_some([str(unpack(code)) for code in unknown], most=3)
        raise DataError(
            f"{where}: the masks are colored (such as {shown}) and no legend explains it; "
            "add legend.csv with lines of name,r,g,b"
        )
    entries = legend or _numbered(max({number_of[code] for code in used} - {IGNORE}, default=0) + 1)
    names = class_list(entries)
    label_by_code = {standard[IGNORE]: IGNORE}
    for number, entry in enumerate(entries):
        label_by_code[standard[number]] = IGNORE if entry.is_void else names.index(entry.name)
    note = f"{where}: the masks are palette images saved as RGB; Pascal VOC's palette was read back"
    return Meaning(names, LabelTable.of("color", label_by_code), notes=(note,))


def _by_numbers(facts: Sequence[MaskFacts], where: Path) -> Meaning:
    used = _used(facts)
    if used == {0, 255} or used == {255}:
        note = f"{where}: the masks are black and white: 255 is a class, foreground"
        table = LabelTable.of("index", {0: 0, 255: 1})
        return Meaning(("background", "foreground"), table, notes=(note,))
    entries = _numbered(max(used - {IGNORE}, default=0) + 1)
    note = (
        f"{where}: no list of class names (classes.txt); the {len(entries)} classes are numbered, "
        "255 is void"
    )
    names = class_list(entries)
    label_by_code = {number: number for number in range(len(names))}
    if len(names) <= MOST_CLASSES:
        label_by_code[IGNORE] = IGNORE
    else:
        raise DataError(
            f"{where}: mask values reach {max(used)}; masks hold class numbers up to "
            f"{MOST_CLASSES - 1}: give the classes consecutive numbers"
        )
    return Meaning(names, LabelTable.of("index", label_by_code), notes=(note,))


def _used(facts: Sequence[MaskFacts]) -> set[int]:
    return {int(code) for item in facts for code in item.codes}


def _numbered(count: int) -> tuple[LegendLine, ...]:
    return tuple(LegendLine(f"class {number}") for number in range(count))
