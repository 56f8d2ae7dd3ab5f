"""YOLO label files: one text file an image, a line an object; boxes or polygons. N objects."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.detection.data.annotations import AnnotationFiles, RawImage, RawObjects, RawSplit
from swinkit.detection.data.rle import Segment
from swinkit.errors import DataError
from swinkit.images.sources import walk_images

BOX_VALUES = 4  # cx cy w h
MOST_CLASSES = 100_000
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
SPLIT_KEYS = ("train", "val", "valid", "test")
ENOUGH = 50  # images without a label file from which a folder counts as one without labels
TOLERANCE = 1.0  # of the image's side; coordinates farther outside are pixels or nonsense


@dataclass(frozen=True)
class _Line:
    image: int
    label: int
    box_xyxy: tuple[float, float, float, float]
    polygon: np.ndarray | None
    where: str


def find_yolo(path: Path) -> AnnotationFiles | None:
    """The YOLO data set at a folder or .yaml file; None where there is none.

    Raises:
        DataError: a .yaml file whose names or folders cannot be used.
    """
    if path.is_file():
        settings = _settings(path) if path.suffix.lower() in (".yaml", ".yml") else None
        return None if settings is None else _from_settings(path, settings)
    for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")]):
        settings = _settings(file)
        if settings is not None:
            return _from_settings(file, settings)
    found = _from_folders(path)
    if not found:
        return None
    return AnnotationFiles(kind="yolo", read=partial(read_yolo, found, _names_beside(path)))


def _settings(file: Path) -> dict[str, Any] | None:
    """What the file says, if it describes a data set."""
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # some other file: not for us
        return None
    if not isinstance(settings, dict) or "names" not in settings:
        return None
    return settings if any(key in settings for key in SPLIT_KEYS) else None


def _from_settings(file: Path, settings: dict[str, Any]) -> AnnotationFiles:
    names = _names(file, settings["names"])
    base = file.parent
    stated = settings.get("path")
    if isinstance(stated, str):
        tried = (Path(stated), file.parent / stated)
        base = next((folder for folder in tried if folder.is_dir()), file.parent)
    images: dict[str, list[Path]] = {}
    for key in SPLIT_KEYS:
        value = settings.get(key)
        if not value or SPLIT_ALIASES[key] in images:
            continue
        entries = value if isinstance(value, list) else [value]
        found = [image for entry in entries for image in _images_of(file, base, str(entry))]
        if found:
            images[SPLIT_ALIASES[key]] = sorted(dict.fromkeys(found))
    if not images:
        raise DataError(
            f"{file}: none of its {', '.join(k for k in SPLIT_KEYS if k in settings)} has images; "
            f"looked below {base}; correct path, train and val"
        )
    same = "val" in images and images.get("train") == images["val"]
    if same:
        del images["val"]
    notes = (f"{file}: train and val are the same images; val is taken from train",) if same else ()
    return AnnotationFiles(kind="yolo", read=partial(read_yolo, images, names), notes=notes)


def _names(file: Path, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and value:
        return tuple(str(name) for name in value)
    whole = isinstance(value, dict) and all(isinstance(key, int) for key in value)
    if whole and value and min(value) >= 0 and max(value) < MOST_CLASSES:
        return tuple(str(value.get(key, f"class {key}")) for key in range(max(value) + 1))
    raise DataError(f"{file}: names is {str(value)[:60]!r}; give a list, or numbers with names")


def _images_of(file: Path, base: Path, entry: str) -> list[Path]:
    """Images of a folder or of a text list; a leading ../ that leads nowhere is dropped, because
    exports write paths for another place."""
    plain = entry.replace("\\", "/").strip()
    stripped = plain
    while stripped.startswith(("../", "./")):
        stripped = stripped.split("/", 1)[1]
    for target in (base / plain, file.parent / plain, base / stripped, file.parent / stripped):
        if target.is_dir():
            return walk_images(target)
        if target.is_file() and target.suffix == ".txt":
            lines = target.read_text(encoding="utf-8").splitlines()
            return [_listed(base, target, line.strip()) for line in lines if line.strip()]
    return []


def _listed(base: Path, listing: Path, line: str) -> Path:
    for folder in (base, listing.parent):
        if (folder / line).is_file():
            return folder / line
    return base / line


def _from_folders(path: Path) -> dict[str, list[Path]]:
    """Images with a label file, from images/train, train/images, images, or the folder itself."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(path.iterdir()):
        split = SPLIT_ALIASES.get(folder.name.lower())
        if split is None and folder.is_dir() and folder.name.lower() == "images":
            for inner in sorted(child for child in folder.iterdir() if child.is_dir()):
                name = SPLIT_ALIASES.get(inner.name.lower())
                if name is not None and _has_labels(images := walk_images(inner)):
                    found[name] = images
        elif split is not None and folder.is_dir() and (folder / "images").is_dir():
            images = walk_images(folder / "images")
            if _has_labels(images):
                found[split] = images
    if found:
        return found
    base = path / "images" if (path / "images").is_dir() else path
    images = [child for child in walk_images(base) if base != path or child.parent == path]
    return {"all": images} if _has_labels(images) else {}


def _has_labels(images: list[Path]) -> bool:
    """Whether one of the first images has a label file that starts like one."""
    for image in images[:ENOUGH]:
        file = label_path(image)
        if not file.is_file():
            continue
        words = file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].split()
        if len(words) >= 5 and words[0].isdigit():
            return True
    return False


def _names_beside(path: Path) -> tuple[str, ...] | None:
    for folder in (path, path / "labels"):
        for name in NAME_FILES:
            file = folder / name
            if file.is_file():
                lines = file.read_text(encoding="utf-8").splitlines()
                return tuple(line.strip() for line in lines if line.strip()) or None
    return None


def read_yolo(
    images: dict[str, list[Path]], class_names: tuple[str, ...] | None, problems: Problems
) -> dict[str, RawSplit]:
    """Read the label file of every image; lines that cannot be used are recorded and left out.

    A line is "class cx cy w h" or "class x1 y1 x2 y2 x3 y3 ...", in parts of the image's sides. An
    image without a label file has no objects.

    Args:
        images: image files by split; "all" where there is no split.
        class_names: names in the order of the numbers, or None where no file gives them.
        problems: takes the lines that cannot be used.
    """
    read: dict[str, list[_Line]] = {}
    for split, files in images.items():
        read[split] = [
            line
            for place, image in enumerate(files)
            for line in _read_labels(label_path(image), place, problems)
        ]
    names = class_names
    if names is None:
        highest = max((line.label for lines in read.values() for line in lines), default=0)
        names = tuple(f"class {number}" for number in range(highest + 1))
    return {
        split: _table(images[split], _known(lines, names, problems), names)
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
            normalized=True,
        ),
        class_names=names,
        category_ids=tuple(range(len(names))),
    )
