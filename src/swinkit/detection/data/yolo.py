"""YOLO label files: one text file an image, a line an object; boxes or polygons. N objects."""

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.annotations import (
    AnnotationFiles,
    Box,
    RawImage,
    RawObject,
    RawSplit,
    tabulate,
)
from swinkit.detection.data.image_lookup import alike
from swinkit.detection.data.layouts import head_of
from swinkit.detection.data.rle import Segment
from swinkit.detection.data.yolo_layout import (
    LIST_NAMES,
    MOST_CLASSES,
    NAME_FILES,
    YoloLayout,
    find_layout,
    label_path,
)
from swinkit.errors import DataError
from swinkit.images.sources import is_image_name
from swinkit.parsing import integer, read_lines

BOX_VALUES = 4  # cx cy w h
TOLERANCE = 1.0  # of the image's side; coordinates farther outside are pixels or nonsense
VISIBLE = 2  # how labels of poses mark a key point that is seen
ROUNDING = 2e-3  # of the image's side: corners of an oriented box, written with few digits
MOSTLY = 0.9  # part of oriented boxes that the image's edge has not cut


@dataclass(frozen=True)
class _Line:
    label: int
    box_xyxy: Box
    polygon: np.ndarray | None
    posed: bool
    where: str


@dataclass(frozen=True)
class _Page:
    """An image with its lines; whether one of them could not be read."""

    image: RawImage
    lines: list[_Line]
    faulty: bool = False


def find_yolo(path: Path) -> AnnotationFiles | None:
    """The YOLO data set at a folder, .yaml or .data file; None where there is none.

    Raises:
        DataError: a file that describes a data set, but whose names or folders cannot be used.
    """
    layout = find_layout(path)
    if layout is None:
        return None
    return AnnotationFiles(kind="yolo", read=partial(read_yolo, layout), notes=tuple(layout.notes))


def read_yolo(layout: YoloLayout, problems: Problems) -> dict[str, RawSplit]:
    """Read the label file of every image; lines that cannot be used are recorded and left out.

    A line is "class cx cy w h" or "class x1 y1 x2 y2 x3 y3 ...", in parts of the image's sides; in
    a data set of poses key points follow the box, and are left out. An empty label file says that
    there is no object; an image without one is left out, for nobody looked at it.

    Args:
        layout: images by split, and the names of the classes.
        problems: takes what cannot be used.

    Raises:
        DataError: no image has a label file.
    """
    problems.items += layout.problems
    pages = {
        split: _read_pages(split, images, layout.key_points, problems)
        for split, images in layout.images.items()
    }
    if not any(pages.values()):
        count = sum(map(len, layout.images.values()))
        images = (i for listed in layout.images.values() for i in listed if i.path)
        example = next((f", such as {label_path(i.path)}" for i in images if i.path), "")
        raise DataError(f"{layout.file}: none of its {count} images has a label file{example}")
    _tell_orphans(pages, problems)
    pages = _without_turns(pages, layout, problems)
    if any(line.posed for listed in pages.values() for page in listed for line in page.lines):
        done = "the labels are poses: their boxes are taken, their key points are not"
        problems.add("key points left out", layout.file, done)
    names = layout.class_names
    if names is None:
        labels = (line.label for listed in pages.values() for page in listed for line in page.lines)
        names = tuple(f"class {number}" for number in range(max(labels, default=0) + 1))
    return {split: _table(listed, names, problems) for split, listed in pages.items()}


def _read_pages(
    split: str, images: list[RawImage], key_points: int, problems: Problems
) -> list[_Page]:
    """Images with a label file, and those that are missing, which is told later."""
    pages: list[_Page] = []
    unlabeled: list[Path] = []
    for image in images:
        if image.path is None:
            pages.append(_Page(image, []))
        elif (file := label_path(image.path)).is_file():
            pages.append(_read_page(image, file, key_points, problems))
        else:
            unlabeled.append(image.path)
    if images and len(unlabeled) == len(images):
        done = f"none of the {len(images)} images of {split} has one: the split is left out"
        problems.add("image without a label file", unlabeled[0].parent, done)
        return []
    for path in unlabeled:
        done = "left out; an empty label file would make it background"
        problems.add("image without a label file", path, done)
    return pages


def _read_page(image: RawImage, file: Path, key_points: int, problems: Problems) -> _Page:
    try:
        texts = read_lines(file)
    except DataError as error:
        problems.add("unreadable entry", file, f"{error}: no objects taken")
        return _Page(image, [], faulty=True)
    lines, faulty = [], False
    for number, text in enumerate(texts, start=1):
        if not text:
            continue
        where = f"{file}, line {number}"
        read = _read_line(text, key_points, where)
        if isinstance(read, str):
            problems.add("unreadable entry", where, f"{read}: left out")
            faulty = True
        else:
            lines.append(read)
    outlined = sum(line.polygon is not None for line in lines)
    if 0 < outlined < len(lines):
        problems.add(
            "mixed formats",
            file,
            f"{outlined} polygons and {len(lines) - outlined} boxes: see the objects without mask",
        )
    return _Page(image, lines, faulty)


def _read_line(text: str, key_points: int, where: str) -> _Line | str:
    """The object of one line, or what is wrong with it."""
    words = text.split()
    try:
        values = np.array(words, np.float64)
    except (ValueError, OverflowError):
        return f"holds something that is not a number ({text[:40]!r})"
    label, rest = integer(words[0]), values[1:]
    if label is None or not np.isfinite(values).all() or not 0 <= label < MOST_CLASSES:
        return f"its class is {words[0][:40]!r}, or a value is not finite"
    posed = len(rest) == BOX_VALUES + key_points if key_points else _looks_posed(rest)
    if key_points and not posed and len(rest) != BOX_VALUES:
        return f"has {len(rest)} values after the class; kpt_shape asks for {4 + key_points}"
    rest = rest[:BOX_VALUES] if posed else rest
    if np.abs(rest - 0.5).max(initial=0) > 0.5 + TOLERANCE:
        return "coordinates are pixels, expected parts of the image from 0 to 1"
    if len(rest) == BOX_VALUES:
        x, y, width, height = rest.tolist()
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return _Line(label, box, None, posed, where)
    if len(rest) < 6 or len(rest) % 2:
        return (
            f"has {len(rest)} values after the class; a box has 4, a polygon pairs from 6 on, and "
            "poses need kpt_shape in data.yaml"
        )
    low, high = rest.reshape(-1, 2).min(0), rest.reshape(-1, 2).max(0)  # (P, 2) corners
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return _Line(label, box, rest, False, where)


def _looks_posed(rest: np.ndarray) -> bool:
    """Whether key points with a mark for their visibility follow a box: a polygon has no
    coordinates that are 0, 1 or 2 at every third place, and 2 among them."""
    marks = rest[BOX_VALUES + 2 :: 3]
    whole = len(rest) > BOX_VALUES and (len(rest) - BOX_VALUES) % 3 == 0
    return whole and bool(np.isin(marks, (0, 1, VISIBLE)).all() and (marks == VISIBLE).any())


def _without_turns(
    pages: dict[str, list[_Page]], layout: YoloLayout, problems: Problems
) -> dict[str, list[_Page]]:
    """Of oriented boxes, which are four corners like a polygon's, only the box around them: no
    outline of an object looks like that all over a data set."""
    lines = [line for listed in pages.values() for page in listed for line in page.lines]
    if not lines or any(line.polygon is None or len(line.polygon) != 8 for line in lines):
        return pages
    corners = np.stack([line.polygon for line in lines if line.polygon is not None])
    corners = corners.reshape(-1, 4, 2)  # N corners x y
    skew = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(axis=1)
    steps = np.abs(np.diff(corners, axis=1)).min(axis=2).max(axis=1)  # 0 along the image's axes
    if (skew < ROUNDING).mean() < MOSTLY or not (steps > ROUNDING).any():
        return pages
    done = "the labels are oriented boxes: the box around their four corners is taken, no mask"
    problems.add("oriented boxes", layout.file, done)
    return {
        split: [
            replace(page, lines=[replace(line, polygon=None) for line in page.lines])
            for page in listed
        ]
        for split, listed in pages.items()
    }


def _tell_orphans(pages: dict[str, list[_Page]], problems: Problems) -> None:
    """Name the label files that lie among the others and have no image."""
    used: dict[Path, set[str]] = defaultdict(set)
    images: dict[Path, set[Path]] = defaultdict(set)
    for listed in pages.values():
        for page in listed:
            if page.image.path is not None:
                label = label_path(page.image.path)
                used[label.parent].add(label.name)
                images[label.parent].add(page.image.path.parent)
    for folder, names in used.items():
        beside = {n for place in images[folder] for n in os.listdir(place) if is_image_name(n)}
        stems = {alike(Path(name).stem) for name in beside}
        lists = {*NAME_FILES, *(f"{name}.txt" for name in LIST_NAMES)}
        for name in sorted(set(os.listdir(folder)) - names - lists):
            if not name.lower().endswith(".txt") or alike(name[:-4]) in stems:
                continue
            words = head_of(folder / name).split()
            if not words or (
                len(words) >= 5 and integer(words[0].decode(errors="replace")) is not None
            ):
                done = "no image of that name lies beside the others: not used"
                problems.add("label file without an image", folder / name, done)


def _table(pages: list[_Page], names: tuple[str, ...], problems: Problems) -> RawSplit:
    objects: list[RawObject] = []
    faulty = {row for row, page in enumerate(pages) if page.faulty}
    for row, page in enumerate(pages):
        for line in page.lines:
            if line.label >= len(names):
                done = f"number {line.label} of {len(names)} classes: left out"
                problems.add("unknown class", line.where, done)
                faulty.add(row)
                continue
            segment = None if line.polygon is None else Segment(polygons=(line.polygon,))
            objects.append(RawObject(row, line.box_xyxy, line.label, line.where, segment=segment))
    return RawSplit(
        images=[page.image for page in pages],
        objects=tabulate(objects, normalized=True),
        class_names=names,
        category_ids=tuple(range(len(names))),
        faulty=frozenset(faulty),
    )
