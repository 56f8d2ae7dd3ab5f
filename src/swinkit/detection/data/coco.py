"""COCO annotation files: boxes, polygons, run lengths, crowds. N objects."""

import codecs
import mmap
from functools import partial
from pathlib import Path
from typing import Any

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES, name_some
from swinkit.detection.data.annotations import AnnotationFiles, RawImage, RawSplit, tabulate
from swinkit.detection.data.coco_objects import CocoObjects, Key, image_key
from swinkit.detection.data.image_lookup import ImageLookup, image_folders
from swinkit.detection.data.layouts import split_of, subfolders
from swinkit.detection.data.rle import is_number, is_side
from swinkit.errors import DataError
from swinkit.parsing import integer, read_json, short

KEYS = ("images", "annotations", "categories")
OTHER_FILES = ("captions", "person_keypoints", "stuff", "image_info")

Record = dict[str, Any]


def find_coco(path: Path) -> AnnotationFiles | None:
    """The annotation files of a COCO data set: a .json file, or those of a folder by split.

    Raises:
        DataError: two files for one split, or one whose name tells none.
    """
    files = _files(path)
    return None if files is None else AnnotationFiles(kind="coco", read=partial(_read_all, files))


def _files(path: Path) -> dict[str, Path] | None:
    if path.is_file():
        return {"all": path} if _is_coco(path) else None
    by_folder = {
        split: sorted(folder.glob("*.json"))
        for folder in subfolders(path)
        if (split := split_of(folder.name))
    }
    for files in ([*path.glob("annotations/*.json")], [*path.glob("*.json")]):
        sound = [file for file in sorted(files) if _is_coco(file)]
        if sound:
            return _by_split(sound)
    found = {
        split: sound
        for split, files in by_folder.items()
        if (sound := [file for file in files if _is_coco(file)])
    }
    if not found:
        return None
    for split, files in found.items():
        if len(files) > 1:
            raise DataError(
                f"{path}: {name_some([file.name for file in files])} all hold the {split} split; "
                "keep one"
            )
    return {split: files[0] for split, files in found.items()}


def _by_split(files: list[Path]) -> dict[str, Path]:
    boxes = [file for file in files if not file.stem.lower().startswith(OTHER_FILES)]
    files = boxes or files
    if len(files) == 1 and split_of(files[0].stem) in (None, "train"):
        return {split_of(files[0].stem) or "all": files[0]}
    found: dict[str, Path] = {}
    for file in files:
        split = split_of(file.stem)
        if split is None or split in found:
            other = found.get(split or "")
            what = (
                f"{file.name} and {other.name} are both {split}"
                if other
                else (f"the name of {file.name} tells no split")
            )
            raise DataError(
                f"{file.parent}: {what}, among {name_some([f.name for f in files])}; name one "
                "json file, or rename to train.json, val.json, test.json"
            )
        found[split] = file
    return found


def _is_coco(file: Path) -> bool:
    """Whether the three keys stand somewhere in the file; a file need not be parsed for that."""
    # A panoptic file has the three keys, and no boxes of its own: it belongs to segmentation.
    named = file.suffix.lower() == ".json" and not file.stem.lower().startswith("panoptic")
    if not named or not file.is_file() or file.stat().st_size == 0:
        return False
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        start = text[:2]
        wide = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
        encoding = wide.get(start, "utf-8")
        return all(text.find(f'"{key}"'.encode(encoding)) >= 0 for key in KEYS)


def _read_all(files: dict[str, Path], problems: Problems) -> dict[str, RawSplit]:
    read = {}
    for split, file in files.items():
        stem = file.stem.removeprefix("instances_").removeprefix("_")
        words = [stem, split] + [word for word, name in SPLIT_ALIASES.items() if name == split]
        read[split] = read_coco(file, list(dict.fromkeys(words)), problems)
    return read


def read_coco(file: Path, split_words: list[str], problems: Problems) -> RawSplit:
    """Read one annotation file; what is wrong with an entry is recorded, the others are kept.

    Args:
        file: JSON with images, annotations and categories.
        split_words: names that the image folder of this split may have.
        problems: takes the entries that cannot be used.

    Raises:
        DataError: not JSON, or without one of the three lists, or without any category.
    """
    data = _parse(file)
    labels, categories = _categories(data, file, problems)
    rows, images = _images(data["images"], file, split_words, problems)
    reader = CocoObjects(file, rows, labels, problems)
    annotations = data["annotations"]
    for place, entry in enumerate(annotations):
        annotations[place] = None  # large files would be in memory twice
        reader.add(entry, place)
    return RawSplit(
        images=images,
        objects=tabulate(reader.finished(), prefix=f"{file}, "),
        class_names=tuple(categories.values()),
        category_ids=tuple(categories),
        faulty=frozenset(reader.faulty),
    )


def _parse(file: Path) -> dict[str, list[Any]]:
    data = read_json(file)
    present = sorted(data) if isinstance(data, dict) else type(data).__name__
    missing = [k for k in KEYS if not isinstance(data, dict) or not isinstance(data.get(k), list)]
    if missing:
        raise DataError(
            f"{file}: no list of {' and '.join(missing)} in it (it has {present}); "
            "a COCO file has images, annotations and categories"
        )
    return data


def _categories(
    data: dict[str, list[Any]], file: Path, problems: Problems
) -> tuple[dict[int, int], dict[int, str]]:
    """The label of each number, and names by number, sorted by number; two numbers of one name
    are one class."""
    used = {integer(entry.get("category_id")) for entry in data["annotations"] if _is_dict(entry)}
    found: dict[int, str] = {}
    joined: dict[int, int] = {}
    for entry in data["categories"]:
        if _is_heading(entry, data, used):
            continue
        key, name = (integer(entry.get("id")), entry.get("name")) if _is_dict(entry) else (None, 0)
        name = str(name).strip() if isinstance(name, (str, int)) else ""
        if key is None or not name or entry["name"] is True:
            problems.add("unreadable entry", f"{file}, category {short(entry)}", "left out")
        elif key in found or key in joined:
            kept = found.get(key, name)
            problems.add("duplicate id", f"{file}, category {key}", f"{kept} kept, not {name}")
        elif name in found.values():
            joined[key] = next(first for first, other in found.items() if other == name)
            done = f"second {name!r}: joined with category {joined[key]}"
            problems.add("duplicate class", f"{file}, category {key}", done)
        else:
            found[key] = name
    if not found:
        raise DataError(f"{file}: has no categories; add them with id and name")
    _tell_holes({*found, *joined}, file, problems)
    found = dict(sorted(found.items()))
    labels = {key: label for label, key in enumerate(found)}
    return labels | {key: labels[first] for key, first in joined.items()}, found


def _tell_holes(numbers: set[int], file: Path, problems: Problems) -> None:
    holes = max(numbers) - min(numbers) + 1 - len(numbers)
    if holes:
        problems.add(
            "category ids with holes",
            file,
            f"{len(numbers)} ids in {min(numbers)}..{max(numbers)}: labels count without the "
            f"{holes} holes, in the order of the ids",
        )


def _is_dict(entry: Any) -> bool:
    return isinstance(entry, dict)


def _is_heading(entry: Any, data: dict[str, list[Any]], used: set[int | None]) -> bool:
    """Whether a category is only the heading over the others, as Roboflow writes it: number 0,
    without objects, the super-category of all the rest."""
    others = [c for c in data["categories"] if c is not entry and isinstance(c, dict)]
    return (
        isinstance(entry, dict)
        and integer(entry.get("id")) == 0
        and 0 not in used
        and len(others) > 0
        and all(c.get("supercategory") == entry.get("name") for c in others)
    )


def _images(
    listed: list[Any], file: Path, split_words: list[str], problems: Problems
) -> tuple[dict[Key, int], list[RawImage]]:
    """Row of each image id, and the images."""
    finder = ImageLookup(image_folders(file, split_words))
    rows: dict[Key, int] = {}
    images: list[RawImage] = []
    for place, entry in enumerate(listed):
        key = image_key(entry.get("id")) if _is_dict(entry) else None
        name = entry.get("file_name") if _is_dict(entry) else None
        if key is None or not isinstance(name, str) or name.strip("/\\. ") == "":
            fault = (
                f"id is {short(entry.get('id'))}, file_name is {short(name)}"
                if _is_dict(entry)
                else f"is {short(entry)}"
            )
            problems.add("unreadable entry", f"{file}, image number {place}", f"{fault}: left out")
            continue
        if key in rows:
            problems.add("duplicate id", f"{file}, image {key} ({name})", "the first one kept")
            continue
        rows[key] = len(images)
        images.append(
            RawImage(
                path=finder.find(name),
                image_id=key if isinstance(key, int) and is_number(key) else None,
                size_hw=_stated_size(entry, f"{file}, image {key}", problems),
                where=f"{name} (image {key} of {file.name}; looked in {finder.described()})",
                name=name.strip().replace("\\", "/"),
            )
        )
    return rows, images


def _stated_size(entry: Record, where: str, problems: Problems) -> tuple[int, int] | None:
    sides = [integer(entry.get(side)) for side in ("height", "width")]
    if all(side is not None and is_side(side) for side in sides):
        return int(sides[0] or 0), int(sides[1] or 0)
    for name in ("height", "width"):
        if entry.get(name) is not None and integer(entry[name]) is None:
            done = f"{name} is {short(entry[name])}: the size of the image file is taken"
            problems.add("unreadable entry", where, done)
    return None
