"""CVAT's own XML, "CVAT for images": one file, an entry for each image. N objects."""

import math
import re
from collections import Counter
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.detection.data.annotations import AnnotationFiles, Box, RawImage, RawObject, RawSplit
from swinkit.detection.data.image_lookup import ImageLookup, image_folders
from swinkit.detection.data.labelme import circle, join_groups
from swinkit.detection.data.layouts import head_of, split_of, subfolders
from swinkit.detection.data.pages import RawPage, join_pages
from swinkit.detection.data.rle import Segment, encode_masks, is_number, is_side, segment_box
from swinkit.errors import DataError
from swinkit.parsing import integer, number, read_xml, short, truth

ROOT = re.compile(rb"<annotations[\s/>]")
OPEN_SHAPES = ("points", "polyline", "skeleton", "cuboid", "tag")  # they have no outline
Outline = tuple[Box, Segment | None]


def find_cvat(path: Path) -> AnnotationFiles | None:
    """annotations.xml, or the one XML file of CVAT in a folder or in its folder of annotations;
    None where there is none.

    Raises:
        DataError: several of them.
    """
    if path.is_file():
        files = [path]
    else:
        inner = (f for f in subfolders(path) if f.name.lower() == "annotations")
        files = sorted(f for base in (path, *inner) for f in base.glob("*.xml"))
    files = [f for f in files if f.suffix.lower() == ".xml" and ROOT.search(head_of(f))]
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:3])
        raise DataError(f"{path}: {len(files)} files of CVAT ({names}); name one of them")
    return AnnotationFiles(kind="cvat", read=partial(read_cvat, files[0])) if files else None


def read_cvat(file: Path, problems: Problems) -> dict[str, RawSplit]:
    """The images and objects of one file, by the subsets that it names.

    Raises:
        DataError: no XML, tracks of a video, or no object.
    """
    root = read_xml(file)
    if root.find("track") is not None and root.find("image") is None:
        raise DataError(
            f"{file}: holds tracks of a video; export the task as CVAT for images, or as COCO"
        )
    names = [text.strip() for text in _texts(root, "meta//label/name")]
    left_out: Counter[str] = Counter()
    entries = root.findall("image")
    subsets = {entry.get("subset") or "" for entry in entries}
    splits = {subset: split_of(subset) or "all" for subset in subsets}
    if "all" in splits.values() and len(subsets) > 1:
        splits = dict.fromkeys(subsets, "all")
    pages: dict[str, list[RawPage]] = {split: [] for split in splits.values()}
    lookups = {
        subset: ImageLookup(image_folders(file, [subset, splits[subset], *SPLIT_ALIASES]))
        for subset in subsets
    }
    for entry in entries:
        subset = entry.get("subset") or ""
        page = _read_image(entry, file, lookups[subset], left_out, problems)
        pages[splits[subset]] += [] if page is None else [page]
    for kind, count in left_out.items():
        problems.add("shape left out", file, f"{count} of kind {kind}: they have no outline")
    if not any(page.objects for listed in pages.values() for page in listed):
        raise DataError(
            f"{file}: no object in its {len(entries)} images; annotate some, or export anew"
        )
    return join_pages(pages, names)


def _texts(root: ElementTree.Element, path: str) -> list[str]:
    return [
        element.text for element in root.iterfind(path) if element.text and element.text.strip()
    ]


def _read_image(
    entry: ElementTree.Element,
    file: Path,
    lookup: ImageLookup,
    left_out: Counter[str],
    problems: Problems,
) -> RawPage | None:
    name = (entry.get("name") or "").strip()
    where = f"{file}, image {entry.get('id')} ({name})"
    if not name.strip("/\\. "):
        problems.add("unreadable entry", where, f"name is {short(name)}: left out")
        return None
    height, width = integer(entry.get("height")), integer(entry.get("width"))
    image = RawImage(
        path=lookup.find(name),
        image_id=None,
        size_hw=(height, width) if height and width and is_side(height, width) else None,
        where=f"{name} of {file} (looked in {lookup.described()})",
        name=name,
    )
    objects, faulty = [], False
    for place, shape in enumerate(entry, start=1):
        label = (shape.get("label") or "").strip()
        if shape.tag in OPEN_SHAPES:
            left_out[shape.tag] += 1
            continue
        found = _outline(shape, image.size_hw) if label else "no label"
        if isinstance(found, str):
            problems.add("unreadable entry", f"{where}, {shape.tag} {place}", f"{found}: left out")
            faulty = True
            continue
        item = RawObject(
            image=-1,
            label=-1,
            box_xyxy=found[0],
            where=f"{where}, {shape.tag} {place} ({label})",
            is_crowd=_is_crowd(shape),
            segment=found[1],
        )
        objects.append((label, integer(shape.get("group_id")) or None, item))
    return RawPage(image=image, objects=join_groups(objects), faulty=faulty)


def _is_crowd(shape: ElementTree.Element) -> bool:
    flags = {a.get("name"): a.text for a in shape.iterfind("attribute")}
    return any(truth((flags.get(name) or "").strip()) for name in ("difficult", "iscrowd"))


def _outline(shape: ElementTree.Element, size_hw: tuple[int, int] | None) -> Outline | str:
    """Box and outline of a shape, or which of its attributes cannot be read."""
    if shape.tag == "box":
        return _box(shape)
    if shape.tag == "mask":
        return _mask(shape, size_hw)
    if shape.tag == "polygon":
        text = shape.get("points") or ""
        points = [[number(value) for value in pair.split(",")] for pair in text.split(";") if pair]
        if len(points) < 3 or any(len(p) != 2 or not all(map(is_number, p)) for p in points):
            return f"points is {short(text)}"
        corners = np.array(points, np.float64)
    elif shape.tag == "ellipse":
        values = _numbers(shape, "cx", "cy", "rx", "ry")
        if isinstance(values, str):
            return values
        center, radii = np.array(values[:2]), np.array(values[2:])
        corners = _turned(circle(np.zeros(2), radii), shape) + center
    else:
        return f"<{shape.tag}> is no shape that is known"
    segment = Segment(polygons=(corners.ravel(),))
    return segment_box(segment), segment


def _numbers(shape: ElementTree.Element, *names: str) -> list[float] | str:
    values = []
    for name in names:
        value = number(shape.get(name))
        if value is None or not is_number(value):
            return f"{name} is {short(shape.get(name))}"
        values.append(value)
    return values


def _box(shape: ElementTree.Element) -> Outline | str:
    """The box around the corners, where it is turned."""
    values = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    if isinstance(values, str):
        return values
    left, top, right, bottom = values
    center = np.array([left + right, top + bottom]) / 2
    half = np.array([right - left, bottom - top]) / 2
    if not number(shape.get("rotation") or 0):
        return (left, top, right, bottom), None
    corners = _turned(half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]), shape) + center
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return (left, top, right, bottom), None


def _turned(points: np.ndarray, shape: ElementTree.Element) -> np.ndarray:
    """(P, 2) points around the origin, turned as the shape says, in degrees clockwise."""
    angle = math.radians(number(shape.get("rotation") or 0) or 0.0)
    x, y = points[:, 0], points[:, 1]
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)


def _mask(shape: ElementTree.Element, size_hw: tuple[int, int] | None) -> Outline | str:
    """Run lengths of the pixels of a rectangle, row by row, zeros first."""
    place = [integer(shape.get(name)) for name in ("left", "top", "width", "height")]
    counts = [integer(word) for word in (shape.get("rle") or "").split(",")]
    if size_hw is None or None in place or None in counts:
        return f"rle is {short(shape.get('rle'))} at {place}, in an image of {size_hw}"
    left, top, width, height = (value or 0 for value in place)
    runs = np.array([min(max(count or 0, -1), 2**40) for count in counts], np.int64)
    inside = min(left, top) >= 0 and left + width <= size_hw[1] and top + height <= size_hw[0]
    if not inside or min(width, height) < 1 or runs.min() < 0 or runs.sum() != width * height:
        return f"rle does not fill {width}x{height} pixels inside the image"
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
    if not pixels.any():
        return "its mask is empty"
    whole = np.zeros(size_hw, np.uint8)
    whole[top : top + height, left : left + width] = pixels.reshape(height, width)
    segment = encode_masks(whole[None])[0]
    return segment_box(segment), segment
