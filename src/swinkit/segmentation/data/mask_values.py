"""What the numbers or colors in a data set's masks mean. K classes."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swinkit.data.splits import name_some
from swinkit.errors import DataError, ImageError
from swinkit.images.reading import quiet_pillow
from swinkit.segmentation.data.folders import Pair
from swinkit.segmentation.data.gray_levels import (
    WHITE_FROM,
    gray_levels,
    is_black_and_white,
    is_dense,
    is_noisy,
)
from swinkit.segmentation.data.layers import read_layers
from swinkit.segmentation.data.legend import NO_NUMBER, Color, LegendLine, class_list
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

MOST_SHOWN = 20  # colors in a message
BLACK_AND_WHITE = ("background", "foreground")  # where nothing names the two


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What one mask holds.

    Attributes:
        kind: of its codes. size_hw: of the file.
        codes: distinct codes, sorted; counts: pixels of each.
        palette: (256, 3) uint8 of a palette file, else None.
        lossy: whether the file is a JPEG. overlap: pixels of several classes.
    """

    kind: MaskKind
    size_hw: SizeHW
    codes: np.ndarray
    counts: np.ndarray
    palette: np.ndarray | None
    lossy: bool = False
    overlap: int = 0

    @property
    def is_gray(self) -> bool:
        """Whether its numbers are grays to look at, not places in a palette."""
        if self.kind != "index" or self.palette is None:
            return self.kind == "index"
        return bool((self.palette[self.codes] == self.codes[:, None]).all())

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


def scan_masks(pairs: Sequence[Pair]) -> dict[Path, MaskFacts | str]:
    """Decode masks in threads: what each holds, or why it cannot be used; by mask file."""
    paths = [pair.mask_path for pair in pairs]
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(paths, pool.map(_facts, pairs), strict=True))


def _facts(pair: Pair) -> MaskFacts | str:
    path = pair.mask_path
    try:
        mask = read_layers(pair.layers) if pair.layers else read_mask(path)
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
    return MaskFacts(mask.kind, mask.size_hw, codes, counts, mask.palette, mask.lossy, mask.overlap)


def infer_meaning(
    facts: Sequence[MaskFacts], legend: tuple[LegendLine, ...] | None, where: Path
) -> Meaning:
    """Decide from the masks, and the legend or class list if there is one.

    Raises:
        DataError: colors without a legend, values that are no numbers of classes, or more classes
            than labels.
    """
    colored = [item for item in facts if item.kind == "color"]
    if legend is not None and legend[0].color is not None:
        palettes = [item for item in facts if item.palette is not None]
        if colored or _palette_fits(palettes, legend):
            meaning = _by_legend(legend)
        else:
            meaning = _by_values(facts, legend, where)
    elif colored:
        meaning = _by_pascal(facts, legend, where)
    else:
        meaning = _by_values(facts, legend, where)
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


def _by_values(
    facts: Sequence[MaskFacts], legend: tuple[LegendLine, ...] | None, where: Path
) -> Meaning:
    """By the legend's values or order; without one black and white, gray levels, or numbers."""
    counts: Counter[int] = Counter()
    for item in facts:
        counts.update(dict(zip(item.codes.tolist(), item.counts.tolist(), strict=True)))
    used = set(counts)
    lines = tuple(line for line in legend or () if line.name != NO_NUMBER)
    values = {line.value for line in lines if line.value is not None}
    gray = all(item.is_gray for item in facts)
    if values == {0, 255} and gray and is_black_and_white(counts):
        lines = tuple(sorted(lines, key=lambda line: line.value or 0))
    elif values and len(values) >= len(lines) and (used - {0}) & values:
        return _by_list(lines, [line.value or 0 for line in lines])
    if gray and (is_black_and_white(counts) or (not lines and used == {255})):
        meaning = _black_and_white(used, lines, where)
        if meaning is not None:
            return meaning
    if len(lines) == 1 and used - {IGNORE} == {0, 1}:
        lines = (LegendLine("background"), *lines)
    if lines and used - {IGNORE} <= set(range(len(lines))):
        note = f"{where}: the masks hold 0 and 255 alone; 255 is void, as more than two are named"
        meaning = _by_list(lines, range(len(lines)))
        return replace(meaning, notes=(note,)) if used == {0, IGNORE} else meaning
    levels = gray_levels(used) if gray else None
    if levels is not None and len(levels) == (len(class_list(lines)) or len(levels)):
        return _by_levels(levels, lines, where)
    if gray and (any(item.lossy for item in facts) or is_noisy([item.counts for item in facts])):
        raise DataError(
            f"{where}: the masks' values ({len(used)} of them) are not exact, as smoothing or JPEG "
            "make them; write them anew as PNG, resized without smoothing (nearest)"
        )
    if lines:
        _refuse_one_more(facts, lines, where)
        return _by_list(lines, range(len(lines)))
    return _numbered_meaning(used, gray, where)


def _black_and_white(used: set[int], lines: tuple[LegendLine, ...], where: Path) -> Meaning | None:
    """White is the second class; None where a list names more than two and 255 may be void."""
    names = class_list(lines) or BLACK_AND_WHITE
    if len(names) == 1:
        names = ("background", names[0])
    if len(names) != 2 or len(set(names)) != 2:
        if used == {0, 255}:
            return None
        raise DataError(
            f"{where}: the masks are black and white, but {len(class_list(lines))} classes are "
            "named; name two (black first), or write the classes' numbers into the masks"
        )
    note = f"{where}: the masks are black and white: 255 is a class, {names[1]}"
    if not used <= {0, 255}:
        note = (
            f"{where}: the masks are black and white with values between (smoothed or saved as "
            f"JPEG): from {WHITE_FROM} on a pixel is {names[1]}"
        )
    table = LabelTable.of("index", {value: int(value >= WHITE_FROM) for value in range(256)})
    return Meaning(names, table, notes=(note,))


def _by_list(lines: tuple[LegendLine, ...], values: Sequence[int]) -> Meaning:
    """Each line's number in the masks is given; 255 is void where no line has it."""
    names = class_list(lines)
    label_by_code = {
        value: IGNORE if line.is_void else names.index(line.name)
        for line, value in zip(lines, values, strict=True)
    }
    label_by_code.setdefault(IGNORE, IGNORE)
    colors = [line.color for line in lines if not line.is_void and line.color is not None]
    palette = tuple(colors) if len(colors) == len(names) else None
    return Meaning(names, LabelTable.of("index", label_by_code), palette)


def _by_levels(levels: Sequence[int], lines: tuple[LegendLine, ...], where: Path) -> Meaning:
    """Level i is the i-th class."""
    names = class_list(lines) or class_list(_numbered(len(levels)))
    shown = name_some([f"{value} is {name}" for value, name in zip(levels, names, strict=True)])
    note = (
        f"{where}: the masks' values {name_some([str(value) for value in levels])} were taken for "
        f"{len(levels)} classes in order ({shown}); a file classes.json such as "
        f'{{"{levels[-1]}": "name"}} tells it otherwise'
    )
    label_by_code = {IGNORE: IGNORE} | {value: label for label, value in enumerate(levels)}
    return Meaning(names, LabelTable.of("index", label_by_code), notes=(note,))


def _refuse_one_more(
    facts: Sequence[MaskFacts], lines: tuple[LegendLine, ...], where: Path
) -> None:
    """Raises DataError where half of the masks hold the number after the last of the list."""
    beyond = len(lines)
    if 2 * sum(beyond in item.codes for item in facts) >= len(facts):
        raise DataError(
            f"{where}: {beyond} classes are named, which have the values 0 to {beyond - 1}, but "
            f"many masks hold {beyond}; add the missing name (often background, the first line)"
        )


def _by_pascal(
    facts: Sequence[MaskFacts], legend: tuple[LegendLine, ...] | None, where: Path
) -> Meaning:
    """Palette masks that were saved as RGB: Pascal's colors in the place of numbers."""
    standard = pack(pascal_palette()).tolist()
    number_of = {code: number for number, code in reversed(list(enumerate(standard)))}
    pixels: Counter[int] = Counter()
    for item in facts:
        codes = item.codes_as("color").tolist()
        pixels.update(dict(zip(codes, item.counts.tolist(), strict=True)))
    used = set(pixels)
    if used - set(number_of):
        shown = name_some([str(unpack(code)) for code, _ in pixels.most_common()], MOST_SHOWN)
        raise DataError(
            f"{where}: the masks are colored and no legend explains it; write "
            f"{where}/legend.csv: a first line name,r,g,b and one for each of {shown}"
        )
    entries = legend or _numbered(max({number_of[code] for code in used} - {IGNORE}, default=0) + 1)
    names = class_list(entries)
    label_by_code = {standard[IGNORE]: IGNORE}
    for number, entry in enumerate(entries):
        label_by_code[standard[number]] = IGNORE if entry.is_void else names.index(entry.name)
    note = f"{where}: the masks are palette images saved as RGB; Pascal VOC's palette was read back"
    return Meaning(names, LabelTable.of("color", label_by_code), notes=(note,))


def _numbered_meaning(used: set[int], gray: bool, where: Path) -> Meaning:
    entries = _numbered(max(used - {IGNORE}, default=0) + 1)
    if gray and not is_dense(used):
        shown = name_some([str(value) for value in sorted(used)])
        raise DataError(
            f"{where}: the masks' values ({shown}) leave gaps and nothing tells what they mean; "
            'add classes.json with a name for each, such as {"0": "background", '
            f'"{max(used - {IGNORE})}": "road"}}'
        )
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


def _numbered(count: int) -> tuple[LegendLine, ...]:
    return tuple(LegendLine(f"class {number}") for number in range(count))
