"""COCO annotation files: boxes, polygons, run lengths, crowds. N objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.image_files import ImageFinder, image_folders
from swinkit.detection.data.raw import RawImage, RawObjects, RawSplit
from swinkit.detection.data.rle import Segment, compress_counts, rle_areas
from swinkit.errors import DataError

KEYS = ("images", "annotations", "categories")
FARTHEST = 1e5  # pixels; coordinates beyond mean nothing and would fill the memory
LONGEST_SIDE = 65_535  # pixels; what run lengths can count
LARGEST_NUMBER = 2**53  # of an image, or a coordinate; floats count no further

Entry = dict[str, Any]


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
                image_id=number if _is_number(number) and isinstance(number, int) else None,
                size_hw=(int(height), int(width)) if _is_side(height, width) else None,
                where=f"{name} (image {number} of {file.name}; looked in {finder.described()})",
            )
        )
    return rows, images


def _is_number(value: Any) -> bool:
    """Whether it is a number of a size that means something; NaN and infinities are not."""
    return isinstance(value, int | float) and -LARGEST_NUMBER < value < LARGEST_NUMBER


def _is_side(*values: Any) -> bool:
    return all(_is_number(value) and 1 <= value <= LONGEST_SIDE for value in values)


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
) -> list[Entry]:
    """The annotations that name an image and a class of the file and have a box of four numbers."""
    kept: list[Entry] = []
    seen: dict[Any, Entry] = {}
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
        and all(_is_number(value) for value in box)
        and isinstance(entry.get("image_id"), int | str)
        and isinstance(entry.get("category_id"), int)
        and isinstance(entry.get("id"), int | str | None)
    )


def _areas(entries: list[Entry]) -> np.ndarray:
    """(N,) float64, NaN where no sensible number stands."""
    values = [entry.get("area") for entry in entries]
    numbers = [value if _is_number(value) else np.nan for value in values]
    areas = np.array(numbers, np.float64)
    return np.where(np.isfinite(areas) & (areas > 0), areas, np.nan)


def _segments(entries: list[Entry]) -> tuple[list[Segment | None] | None, dict[int, str]]:
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


def read_segment(value: Any) -> Segment | str | None:
    """COCO's "segmentation" of any form; None where there is none, a reason where it is unusable.

    Compressed run lengths are not checked here.
    """
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, list):
        # A single polygon without the list around it is a common mistake that means one thing.
        parts = value if isinstance(value[0], list) else [value]
        return _read_polygons(parts)
    if not isinstance(value, dict) or "counts" not in value:
        return "it is neither polygons nor run lengths"
    size, counts = value.get("size"), value["counts"]
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(side, int) for side in size)
        or not _is_side(*size)
    ):
        return f"its size is {size}, not [height, width]"
    size_hw = (size[0], size[1])
    if isinstance(counts, str):
        plain = counts.isascii()
        return (
            Segment(counts=counts.encode("ascii"), size_hw=size_hw)
            if plain
            else "its run lengths hold foreign characters"
        )
    code = compress_counts(counts, size_hw) if isinstance(counts, list) else None
    return (
        "its run lengths do not fill the image"
        if code is None
        else Segment(counts=code, size_hw=size_hw)
    )


def _read_polygons(parts: list[Any]) -> Segment | str:
    polygons = []
    for part in parts:
        try:
            points = np.array(part, np.float64)
        except (TypeError, ValueError):
            return "a polygon holds something that is not a number"
        if points.ndim != 1 or points.size % 2 or points.size < 6:
            continue
        # A comparison with NaN is false, so this finds it as well.
        if not (np.abs(points) < FARTHEST).all():
            return "a polygon has coordinates that are not finite or far outside"
        polygons.append(points)
    return Segment(polygons=tuple(polygons)) if polygons else "no polygon has three corners"
