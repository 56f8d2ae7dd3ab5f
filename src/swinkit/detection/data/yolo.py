"""YOLO label files: one text file an image, a line an object; boxes or polygons. N objects."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.raw import RawImage, RawObjects, RawSplit
from swinkit.detection.data.rle import Segment

BOX_VALUES = 4  # cx cy w h
MOST_CLASSES = 100_000
TOLERANCE = 1.0  # of the image's side; coordinates farther outside are pixels or nonsense


@dataclass(frozen=True, kw_only=True)
class YoloLayout:
    """Where a YOLO data set has its files.

    Attributes:
        images: image files by split; "all" where there is no split.
        class_names: names in the order of the numbers, or None where no file gives them.
        notes: what was found on the way.
    """

    images: dict[str, list[Path]]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    image: int
    label: int
    box_xyxy: tuple[float, float, float, float]
    polygon: np.ndarray | None
    where: str


def read_yolo(layout: YoloLayout, problems: Problems) -> dict[str, RawSplit]:
    """Read the label file of every image; lines that cannot be used are recorded and left out.

    A line is "class cx cy w h" or "class x1 y1 x2 y2 x3 y3 ...", in parts of the image's sides. An
    image without a label file has no objects.
    """
    read: dict[str, list[_Line]] = {}
    for split, images in layout.images.items():
        read[split] = [
            line
            for place, image in enumerate(images)
            for line in _read_labels(label_path(image), place, problems)
        ]
    names = layout.class_names
    if names is None:
        highest = max((line.label for lines in read.values() for line in lines), default=0)
        names = tuple(f"class {number}" for number in range(highest + 1))
    return {
        split: _table(layout.images[split], _known(lines, names, problems), names)
        for split, lines in read.items()
    }


def label_path(image: Path) -> Path:
    """The label file of an image: in the folder labels where its path says images (the last one),
    else beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            swapped = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
            if swapped.is_file() or Path(*parts[:place], "labels").is_dir():
                return swapped
    return image.with_suffix(".txt")


def _read_labels(file: Path, image: int, problems: Problems) -> list[_Line]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:  # an image without objects
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.add("unreadable entry", file, f"cannot be read ({error}): no objects taken")
        return []
    lines = []
    for number, words in enumerate(text.splitlines(), start=1):
        if not words.strip():
            continue
        where = f"{file}, line {number}"
        read = _read_line(words, image, where)
        if isinstance(read, str):
            problems.add("unreadable entry", where, f"{read}: left out")
        else:
            lines.append(read)
    outlined = sum(line.polygon is not None for line in lines)
    if 0 < outlined < len(lines):
        problems.add(
            "mixed formats",
            file,
            f"{outlined} polygons and {len(lines) - outlined} boxes: see the objects without mask",
        )
    return lines


def _read_line(text: str, image: int, where: str) -> _Line | str:
    """The object of one line, or what is wrong with it."""
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        return f"holds something that is not a number ({text[:40]!r})"
    number, rest = values[0], values[1:]
    if not np.isfinite(values).all() or not 0 <= number < MOST_CLASSES or number % 1:
        return f"its class is {text.split()[0]!r}, or a value is not finite"
    if np.abs(rest - 0.5).max(initial=0) > 0.5 + TOLERANCE:
        return "coordinates are pixels, expected parts of the image from 0 to 1"
    if len(rest) == BOX_VALUES:
        x, y, width, height = rest.tolist()
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return _Line(image, int(number), box, None, where)
    if len(rest) < 6 or len(rest) % 2:
        return f"has {len(rest)} values after the class; a box has 4, a polygon pairs from 6 on"
    low, high = rest.reshape(-1, 2).min(0), rest.reshape(-1, 2).max(0)  # (P, 2) corners
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return _Line(image, int(number), box, rest, where)


def _known(lines: list[_Line], names: tuple[str, ...], problems: Problems) -> list[_Line]:
    known = []
    for line in lines:
        if line.label < len(names):
            known.append(line)
        else:
            done = f"number {line.label} of {len(names)} classes: left out"
            problems.add("unknown class", line.where, done)
    return known


def _table(images: list[Path], lines: list[_Line], names: tuple[str, ...]) -> RawSplit:
    segments = [
        None if line.polygon is None else Segment(polygons=(line.polygon,)) for line in lines
    ]
    places = [line.where for line in lines]
    return RawSplit(
        images=[
            RawImage(path=image, image_id=None, size_hw=None, where=str(image)) for image in images
        ],
        objects=RawObjects(
            images=np.array([line.image for line in lines], np.int64),
            boxes_xyxy=np.array([line.box_xyxy for line in lines], np.float64).reshape(-1, 4),
            names=np.array([line.label for line in lines], np.int64),
            is_crowd=np.zeros(len(lines), bool),
            areas=np.full(len(lines), np.nan),
            segments=segments if any(segments) else None,
            name_object=places.__getitem__,
            normalised=True,
        ),
        class_names=names,
        category_ids=tuple(range(len(names))),
    )
