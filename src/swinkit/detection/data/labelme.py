"""labelme's files, and those of its descendants: one JSON an image, with shapes. N objects."""

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swinkit.data.problems import Problems
from swinkit.data.splits import name_some
from swinkit.detection.data.annotations import AnnotationFiles, Box, RawImage, RawObject, RawSplit
from swinkit.detection.data.image_lookup import ImageLookup
from swinkit.detection.data.layouts import head_of, split_of, subfolders
from swinkit.detection.data.pages import RawPage, join_pages
from swinkit.detection.data.rle import Segment, encode_masks, is_number, is_side, segment_box
from swinkit.errors import DataError
from swinkit.parsing import integer, mapping, number, read_json, sequence, short, truth

LOOKED_AT = 20  # files, to find out what they are
BESIDE = ("images", "Images", "JPEGImages", "imgs")  # folders of images beside one of JSON files
JSON_FOLDERS = ("json", "jsons", "labels", "annotations", "labelme")
CORNERS = 48  # of the polygon that stands for a circle
OPEN_SHAPES = ("point", "points", "line", "linestrip")  # they enclose nothing
BOXES = ("rectangle", "rotation")  # known by their corners: the box around them is all


def find_labelme(path: Path) -> AnnotationFiles | None:
    """The JSON files of a folder, of the folders of splits in it, or of its folder of JSON files;
    None where there are none."""
    if path.is_file():
        return None
    parts = {split: child for child in subfolders(path) if (split := split_of(child.name))}
    found = {split: files for split, child in parts.items() if (files := _pages(child))}
    if not found:
        files = _pages(path)
        for child in subfolders(path):
            files = files or (_pages(child) if child.name.lower() in JSON_FOLDERS else [])
        found = {"all": files} if files else {}
    return AnnotationFiles(kind="labelme", read=partial(_read_all, found)) if found else None


def _pages(folder: Path) -> list[Path]:
    """The JSON files of a folder and of those below it, if they are labelme's: some of the first
    ones, for a broken one tells nothing."""
    files = sorted(folder.glob("*.json")) or sorted(folder.glob("*/*.json"))
    return files if any(_is_page(file) for file in files[:LOOKED_AT]) else []


def _is_page(file: Path) -> bool:
    # The image itself, which labelme writes into the file as well, comes after the shapes.
    head = head_of(file)
    marks = (b'"version"', b'"flags"', b'"imagePath"', b'"shape_type"', b'"label"')
    return b'"shapes"' in head and any(mark in head for mark in marks)


def _read_all(files: dict[str, list[Path]], problems: Problems) -> dict[str, RawSplit]:
    left_out: Counter[str] = Counter()
    lookups: dict[Path, ImageLookup] = {}
    pages: dict[str, list[RawPage]] = {}
    for split, listed in files.items():
        pages[split] = []
        for file in listed:
            folder = file.parent
            if folder not in lookups:
                beside = (folder.parent / name for name in BESIDE)
                lookups[folder] = ImageLookup([folder, *beside, folder.parent])
            page = _read_page(file, lookups[folder], left_out, problems)
            pages[split] += [] if page is None else [page]
    for kind, count in left_out.items():
        where = next(iter(files.values()))[0].parent
        problems.add("shape left out", where, f"{count} of kind {kind}: they enclose nothing")
    if not any(page.objects for listed in pages.values() for page in listed):
        where = next(iter(files.values()))[0].parent
        broken = f"; the first problem: {next(iter(problems))}" if len(problems) else ""
        raise DataError(
            f"{where}: no shape in its labelme files that is an object{broken or _flags_of(files)}"
        )
    return join_pages(pages)


def _flags_of(files: dict[str, list[Path]]) -> str:
    """What to do where flags of whole images stand in the place of shapes."""
    contents = (read_json(file) for file in next(iter(files.values()))[:LOOKED_AT])
    flags = [mapping(mapping(content).get("flags")) for content in contents]
    named = sorted({str(name) for each in flags for name, is_set in each.items() if is_set is True})
    if not named:
        return ""
    return (
        f", but flags of images ({name_some(named)}); to classify by them, put each image into a "
        "folder of its flag, or list them in a CSV file with columns path,label, away from the "
        "JSON files"
    )


def _read_page(
    file: Path, lookup: ImageLookup, left_out: Counter[str], problems: Problems
) -> RawPage | None:
    try:
        content = read_json(file)
    except DataError as error:
        problems.add("unreadable entry", file, f"{error}: its image is left out")
        return None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        problems.add("unreadable entry", file, "no list of shapes: its image is left out")
        return None
    height, width = integer(content.get("imageHeight")), integer(content.get("imageWidth"))
    named = content.get("imagePath")
    path = lookup.image_of(file, named if isinstance(named, str) else "", problems)
    inside = "; it is inside the file: save it beside it" if content.get("imageData") else ""
    image = RawImage(
        path=path,
        image_id=None,
        size_hw=(height, width) if height and width and is_side(height, width) else None,
        where=f"{short(named)} of {file} (looked in {lookup.described()}{inside})",
        name=str(path),
    )
    objects, faulty = [], False
    for place, entry in enumerate(content["shapes"], start=1):
        found = _read_shape(entry, f"{file}, shape {place}", image.size_hw)
        if isinstance(found, tuple):
            objects.append((found[0], integer(mapping(entry).get("group_id")), found[1]))
        elif found in OPEN_SHAPES:
            left_out[found] += 1
        else:
            problems.add("unreadable entry", f"{file}, shape {place}", f"{found}: left out")
            faulty = True
    return RawPage(image=image, objects=join_groups(objects), faulty=faulty)


def join_groups(
    objects: Iterable[tuple[str, int | None, RawObject]],
) -> list[tuple[str, RawObject]]:
    """Objects with their classes; polygons of one class and group are the parts of one object."""
    found: list[tuple[str, RawObject]] = []
    places: dict[tuple[str, int], int] = {}
    for name, group, item in objects:
        place = None
        if group is not None and item.segment is not None and item.segment.polygons:
            place = places.setdefault((name, group), len(found))
        if place is None or place == len(found):
            found.append((name, item))
            continue
        first = found[place][1]
        parts = first.segment.polygons if first.segment is not None else ()
        joined = Segment(polygons=(*parts, *item.segment.polygons)) if item.segment else None
        if joined is not None:
            found[place] = (name, first._replace(segment=joined, box_xyxy=segment_box(joined)))
    return found


def _read_shape(
    entry: Any, where: str, size_hw: tuple[int, int] | None
) -> tuple[str, RawObject] | str:
    """The class and outline of a shape; its kind where it encloses nothing, or what is wrong."""
    shape = mapping(entry)
    name, kind = shape.get("label"), shape.get("shape_type") or "polygon"
    if not isinstance(name, (str, int)) or not str(name).strip():
        return f"label is {short(name)}"
    if kind in OPEN_SHAPES:
        return str(kind)
    points = (
        [[number(value) for value in sequence(point)] for point in sequence(shape["points"])]
        if "points" in shape
        else []
    )
    if not points or any(len(p) != 2 or not all(map(is_number, p)) for p in points):
        return f"points is {short(shape.get('points'))}"
    corners = np.array(points, np.float64)  # P 2
    read = _outline(str(kind), corners, shape.get("mask"), size_hw)
    if isinstance(read, str):
        return read
    box, segment = read
    flags = mapping(shape.get("flags"))
    crowd = any(truth(flags.get(flag)) for flag in ("difficult", "crowd", "iscrowd"))
    return str(name).strip(), RawObject(
        image=-1,
        label=-1,
        box_xyxy=box,
        where=f"{where} ({name})",
        is_crowd=crowd or bool(truth(shape.get("difficult"))),
        segment=segment,
    )


def _outline(
    kind: str, corners: np.ndarray, mask: Any, size_hw: tuple[int, int] | None
) -> tuple[Box, Segment | None] | str:
    """Box and outline of a shape of `corners` (P, 2)."""
    if kind == "mask":
        return _mask(corners, mask, size_hw)
    if kind == "circle" and len(corners) == 2:
        corners = circle(corners[0], math.dist(*corners.tolist()))
    elif kind in ("circle", "ellipse"):
        return f"shape_type is {kind} with {len(corners)} points"
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if kind in BOXES:
        enough = len(corners) >= 2
        return ((left, top, right, bottom), None) if enough else "a rectangle of one point"
    if kind not in ("polygon", "circle"):
        return f"shape_type is {short(kind)}"
    if len(corners) < 3:
        return f"a polygon of {len(corners)} points"
    return (left, top, right, bottom), Segment(polygons=(corners.ravel(),))


def circle(center: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    """(P, 2) corners of the polygon that stands for a circle, or for an ellipse of two radii."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    return center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _mask(
    corners: np.ndarray, encoded: Any, size_hw: tuple[int, int] | None
) -> tuple[Box, Segment | None] | str:
    """Of a PNG of the pixels between two corners."""
    if size_hw is None or not isinstance(encoded, str):
        return f"a mask of {short(encoded)}, in an image of unknown size"
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            if image.width > size_hw[1] or image.height > size_hw[0]:
                return f"a mask of {image.height}x{image.width}, larger than its image"
            pixels = np.asarray(image.convert("L")) > 0
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        return f"its mask cannot be decoded ({type(error).__name__})"
    left, top = (int(value) for value in np.rint(corners.min(axis=0)))
    whole = np.zeros(size_hw, np.uint8)
    height, width = whole[
        max(top, 0) : top + pixels.shape[0], max(left, 0) : left + pixels.shape[1]
    ].shape
    if min(top, left) < 0 or not pixels[:height, :width].any():
        return "its mask is empty, or lies outside the image"
    whole[top : top + height, left : left + width] = pixels[:height, :width]
    segment = encode_masks(whole[None])[0]
    return segment_box(segment), segment
