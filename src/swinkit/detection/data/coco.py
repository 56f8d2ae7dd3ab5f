"""COCO annotation files: boxes, polygons, run lengths, crowds. N objects."""

import json
import mmap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES, name_some
from swinkit.detection.data.annotations import (
    AnnotationFiles,
    ImageFinder,
    RawImage,
    RawObjects,
    RawSplit,
    image_folders,
    split_of,
    subfolders,
)
from swinkit.detection.data.rle import Segment, is_number, is_side, read_segment, rle_areas
from swinkit.errors import DataError

KEYS = ("images", "annotations", "categories")
OTHER_FILES = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")

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
            return _by_split(path, sound)
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


def _by_split(path: Path, files: list[Path]) -> dict[str, Path]:
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
    if file.suffix.lower() != ".json" or file.stat().st_size == 0:
        return False
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        return all(text.find(f'"{key}"'.encode()) >= 0 for key in KEYS)


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
    used = {
        str(entry.get("category_id")) for entry in data["annotations"] if isinstance(entry, dict)
    }
    listed = [entry for entry in data["categories"] if not _is_heading(entry, data, used)]
    categories = _categories(listed, file, problems)
    rows, images = _images(data["images"], file, split_words, problems)
    names = {category: index for index, category in enumerate(categories)}
    entries = _linked(data["annotations"], file, rows, names, problems)
    boxes = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    ids = [entry.get("id") for entry in entries]
    segments, broken = _segments(entries)
    return RawSplit(
        images=images,
        objects=RawObjects(
            images=np.array([rows[entry["image_id"]] for entry in entries], np.int64),
            boxes_xyxy=boxes,
            names=np.array([names[entry["category_id"]] for entry in entries], np.int64),
            is_crowd=np.array([bool(entry.get("iscrowd")) for entry in entries], bool),
            areas=_areas(entries),
            segments=segments,
            broken=broken,
            name_object=lambda row: f"{file}, annotation {ids[row]}",
        ),
        class_names=tuple(categories.values()),
        category_ids=tuple(categories),
    )


def _parse(file: Path) -> dict[str, list[Any]]:
    try:
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check it") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: is not JSON ({error}); export it again") from error
    present = sorted(data) if isinstance(data, dict) else type(data).__name__
    missing = [k for k in KEYS if not isinstance(data, dict) or not isinstance(data.get(k), list)]
    if missing:
        raise DataError(
            f"{file}: no list of {' and '.join(missing)} in it (it has {present}); "
            "a COCO file has images, annotations and categories"
        )
    return data


def _categories(listed: list[Any], file: Path, problems: Problems) -> dict[int, str]:
    """Names by number, sorted by number."""
    found: dict[int, str] = {}
    for entry in listed:
        number, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (0, 0)
        if not isinstance(number, int) or not isinstance(name, str):
            problems.add("unreadable entry", f"{file}, category {entry}", "left out")
        elif number in found:
            problems.add(
                "duplicate id", f"{file}, category {number}", f"{found[number]} kept, not {name}"
            )
        elif name in found.values():
            problems.add("duplicate id", f"{file}, category {number}", f"second {name!r}: left out")
        else:
            found[number] = name
    if not found:
        raise DataError(f"{file}: has no categories; add them with id and name")
    holes = max(found) - min(found) + 1 - len(found)
    if holes:
        problems.add(
            "category ids with holes",
            file,
            f"{len(found)} ids in {min(found)}..{max(found)}: labels count without the {holes} "
            "holes, in the order of the ids",
        )
    return dict(sorted(found.items()))


def _is_heading(entry: Any, data: dict[str, list[Any]], used: set[str]) -> bool:
    """Whether a category is only the heading over the others, as Roboflow writes it: number 0,
    without objects, the super-category of all the rest."""
    others = [c for c in data["categories"] if c is not entry and isinstance(c, dict)]
    return (
        isinstance(entry, dict)
        and entry.get("id") == 0
        and "0" not in used
        and len(others) > 0
        and all(c.get("supercategory") == entry.get("name") for c in others)
    )


def _images(
    listed: list[Any], file: Path, split_words: list[str], problems: Problems
) -> tuple[dict[Any, int], list[RawImage]]:
    """Row of each image id, and the images."""
    finder = ImageFinder(image_folders(file, split_words))
    rows: dict[Any, int] = {}
    images: list[RawImage] = []
    for place, entry in enumerate(listed):
        if not _is_image(entry):
            problems.add("unreadable entry", f"{file}, image number {place}", "left out")
            continue
        number, name = entry["id"], entry["file_name"]
        if number in rows:
            problems.add("duplicate id", f"{file}, image {number} ({name})", "the first one kept")
            continue
        rows[number] = len(images)
        height, width = entry.get("height"), entry.get("width")
        images.append(
            RawImage(
                path=finder.find(name),
                image_id=number if is_number(number) and isinstance(number, int) else None,
                size_hw=(int(height), int(width)) if is_side(height, width) else None,
                where=f"{name} (image {number} of {file.name}; looked in {finder.described()})",
            )
        )
    return rows, images


def _is_image(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), int | str)
        and isinstance(entry.get("file_name"), str)
        and entry["file_name"].strip("/\\. ") != ""
    )


def _linked(
    listed: list[Any],
    file: Path,
    rows: dict[Any, int],
    names: dict[int, int],
    problems: Problems,
) -> list[Record]:
    """The annotations that name an image and a class of the file and have a box of four numbers."""
    kept: list[Record] = []
    seen: dict[Any, Record] = {}
    for place, entry in enumerate(listed):
        if not _is_annotation(entry):
            number = entry.get("id", f"number {place}") if isinstance(entry, dict) else place
            problems.add("unreadable entry", f"{file}, annotation {number}", "left out")
            continue
        number = entry.get("id")
        if entry["image_id"] not in rows:
            where = f"{file}, annotation {number}"
            problems.add("unknown image", where, f"image {entry['image_id']}: left out")
            continue
        if entry["category_id"] not in names:
            where = f"{file}, annotation {number}"
            problems.add("unknown class", where, f"category {entry['category_id']}: left out")
            continue
        first = None if number is None else seen.setdefault(number, entry)
        if first is not None and first is not entry:
            repeated = all(first[k] == entry[k] for k in ("image_id", "category_id", "bbox"))
            done = "the same object: left out" if repeated else "another object: kept"
            problems.add("duplicate id", f"{file}, annotation {number}", done)
            if repeated:
                continue
        kept.append(entry)
    return kept


def _is_annotation(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    box = entry.get("bbox")
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(is_number(value) for value in box)
        and isinstance(entry.get("image_id"), int | str)
        and isinstance(entry.get("category_id"), int)
        and isinstance(entry.get("id"), int | str | None)
    )


def _areas(entries: list[Record]) -> np.ndarray:
    """(N,) float64, NaN where no sensible number stands."""
    values = [entry.get("area") for entry in entries]
    numbers = [value if is_number(value) else np.nan for value in values]
    areas = np.array(numbers, np.float64)
    return np.where(np.isfinite(areas) & (areas > 0), areas, np.nan)


def _segments(entries: list[Record]) -> tuple[list[Segment | None] | None, dict[int, str]]:
    """Outlines, None where there is none; and the rows of unusable ones with the reason."""
    segments: list[Segment | None] = []
    broken: dict[int, str] = {}
    coded: list[int] = []
    for row, entry in enumerate(entries):
        found = read_segment(entry.get("segmentation"))
        if isinstance(found, str):
            broken[row] = found
            found = None
        elif found is not None and not found.polygons:
            coded.append(row)
        segments.append(found)
    codes = [segments[row] for row in coded]
    areas = rle_areas(
        [segment.counts for segment in codes if segment],
        [segment.size_hw or (0, 0) for segment in codes if segment],
    )
    for row, area in zip(coded, areas.tolist(), strict=True):
        if area <= 0:
            segments[row] = None
            broken[row] = "its run lengths do not fill the image" if area < 0 else "it is empty"
    any_outline = bool(broken) or any(segment is not None for segment in segments)
    return (segments if any_outline else None), broken
