"""An image and its objects, checked: from what the files say to sound samples. G objects of an
image, N of a split, H W map; NumPy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swinkit.data.problems import ProblemKind, Problems, image_problem
from swinkit.data.scan import TURNED, exif_orientation
from swinkit.detection.data.annotations import RawImage, RawObjects, RawSplit
from swinkit.detection.data.rle import Segment, decode_segments, rle_areas
from swinkit.detection.data.turning import make_upright
from swinkit.errors import DataError
from swinkit.settings import SizeHW

EDGE_TOLERANCE = 1.0  # pixels; annotation tools round, so less than this is cut without a word
SMALLEST_SIDE = 1e-2  # pixels; thinner boxes have no area worth the name

Checked = Mapping[Path, SizeHW | str]  # an image's (height, width), or why it is bad


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionSample:
    """One image and its objects.

    Attributes:
        path: the image file.
        image_id: its number, unique in its split; COCO's own where each image has one.
        size_hw: (height, width) in pixels, upright.
        boxes_xyxy: (G, 4) float32, inside the image; those of no area (`is_flat`) are objects that
            nothing can find, which COCO counts as missed.
        labels: (G,) int64, index into the class names.
        is_crowd: (G,) bool: regions of many objects, and objects marked difficult; they are neither
            found nor missed.
        segments: an outline per object, None where only the box is known; None for a data set
            without masks.
        areas: (G,) float32, in pixels; COCO's own where there is one.
    """

    path: Path
    image_id: int
    size_hw: SizeHW
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    segments: tuple[Segment | None, ...] | None
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_flat(self) -> np.ndarray:
        """(G,) bool: boxes of no area."""
        return thin(self.boxes_xyxy)

    @property
    def lacks_mask(self) -> np.ndarray:
        """(G,) bool: objects of which only the box is known."""
        if self.segments is None:
            return np.ones(len(self), bool)
        return np.array([segment is None for segment in self.segments], bool)

    def masks(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Masks (G, H, W) uint8 of 0 and 1, or only those of `rows` (indices).

        An object of which only the box is known has its rectangle as mask.

        Raises:
            DataError: the data set has no masks.
        """
        if self.segments is None:
            raise DataError(f"{self.path}: has boxes but no masks; train a detector of boxes")
        numbers = range(len(self)) if rows is None else [int(row) for row in rows]
        segments = [self.segments[row] or self._rectangle(row) for row in numbers]
        return decode_segments(segments, self.size_hw)

    def _rectangle(self, row: int) -> Segment:
        left, top, right, bottom = self.boxes_xyxy[row].astype(np.float64)
        corners = np.array([left, top, right, top, right, bottom, left, bottom])
        return Segment(polygons=(corners,))


def check_samples(
    raw: RawSplit,
    checked: Checked,
    labels: np.ndarray,
    problems: Problems,
    *,
    masks: bool,
    first_id: int,
) -> list[DetectionSample]:
    """The sound part of one split, sorted by path.

    Args:
        raw: what the files say.
        checked: the size of each image file, or why it is bad.
        labels: (classes of the split,) the data set's label for each.
        problems: takes what is not sound.
        masks: whether the data set has masks.
        first_id: number of the first image where the files do not give one to every image.
    """
    sizes, turned = _image_sizes(raw.images, checked, problems)
    objects = _join_images(raw, sizes, problems)
    objects = make_upright(objects, raw.images, sizes, turned, problems)
    clipped, sound = _check_boxes(objects, sizes, problems)
    rows = np.flatnonzero(sound)
    # Sorted by image, so that each sample's objects are one slice of shared arrays.
    rows = rows[np.argsort(objects.images[rows], kind="stable")]
    found = [_segment(objects, row, sizes, problems, masks) for row in rows.tolist()]
    segments = found if masks else None
    boxes32 = clipped[rows].astype(np.float32)
    columns = {
        "boxes_xyxy": boxes32,
        "labels": labels[objects.names[rows]],
        "is_crowd": objects.is_crowd[rows],
        "areas": _areas(objects.areas[rows], boxes32, segments),
    }
    ids = [image.image_id for image in raw.images]
    numbers = list(range(first_id, first_id + len(ids))) if None in ids else ids
    owners = objects.images[rows]
    faulty = raw.faulty | set(objects.images[~sound].tolist())
    samples = []
    for index, (image, size, number) in enumerate(zip(raw.images, sizes, numbers, strict=True)):
        if size is None or image.path is None or number is None:
            continue
        part = slice(*np.searchsorted(owners, (index, index + 1)).tolist())
        if part.start == part.stop and index in faulty:
            done = "no object of it can be used: left out, for it is no background"
            problems.add("image that lost its objects", image.path, done)
            continue
        if part.start == part.stop:
            problems.add("image without objects", image.path, "kept as background")
        samples.append(
            DetectionSample(
                path=image.path,
                image_id=number,
                size_hw=size,
                segments=None if segments is None else tuple(segments[part]),
                **{name: column[part] for name, column in columns.items()},
            )
        )
    return sorted(samples, key=lambda sample: sample.path)


def _image_sizes(
    images: list[RawImage], checked: Checked, problems: Problems
) -> tuple[list[SizeHW | None], dict[int, int]]:
    """The size of each usable image, None for the others; and the images whose stated size is
    that of the pixels before EXIF turns them, with EXIF's number for how."""
    sizes: list[SizeHW | None] = []
    turned: dict[int, int] = {}
    for row, image in enumerate(images):
        size = None if image.path is None else checked[image.path]
        if image.path is None:
            problems.add("missing image", image.where, "left out with its objects")
        elif isinstance(size, str):
            problems.items.append(image_problem(image.path, f"{size}: left out with its objects"))
        elif size is not None and image.size_hw not in (None, size):
            turn = exif_orientation(image.path) if image.size_hw == size[::-1] else 1
            if turn in TURNED:
                turned[row] = turn
                sizes.append(size)
                continue
            problems.add(
                "image of another size",
                image.path,
                f"{_times(size)} (height x width), its annotation says "
                f"{_times(image.size_hw or size)}: left out with its objects",
            )
        else:
            sizes.append(size if isinstance(size, tuple) else None)
            continue
        sizes.append(None)
    return sizes, turned


def _join_images(raw: RawSplit, sizes: list[SizeHW | None], problems: Problems) -> RawObjects:
    """The objects, those of a picture that is listed twice under its first entry.

    Of the second entry nothing but the objects is kept. Two different names that lead to one file
    are not one picture: which one it is nobody knows, so both are left out.
    """
    first: dict[Path, int] = {}
    owner = np.arange(len(raw.images))
    for row, image in enumerate(raw.images):
        if image.path is None or sizes[row] is None:
            continue
        other = first.setdefault(image.path, row)
        if other == row:
            continue
        if image.name != raw.images[other].name:
            done = f"{image.where} and {raw.images[other].where} lead to this one: left out"
            problems.add("ambiguous image", image.path, done)
            sizes[row] = sizes[other] = None
            continue
        done = "one picture under two ids: joined, with the objects of both"
        problems.add("duplicate id", image.where, done)
        owner[row], sizes[row] = other, None
    return _without_repeated(raw.objects, owner, problems)


def _without_repeated(objects: RawObjects, owner: np.ndarray, problems: Problems) -> RawObjects:
    """The objects under their new images; what joined entries both list counts once."""
    moved = owner[objects.images] if len(owner) else objects.images
    joined = np.flatnonzero(owner != np.arange(len(owner)))
    if not len(joined):
        return objects
    kept = np.ones(len(moved), bool)
    seen: set[tuple[float, ...]] = set()
    for row in np.flatnonzero(np.isin(moved, owner[joined])).tolist():
        key = (int(moved[row]), int(objects.names[row]), *objects.boxes_xyxy[row].tolist())
        kept[row] = key not in seen or moved[row] == objects.images[row]
        seen.add(key)
        if not kept[row]:
            where = objects.name_object(row)
            problems.add("duplicate id", where, "the same object as in the first entry: left out")
    return replace(objects, images=moved).take(np.flatnonzero(kept))


def _check_boxes(
    objects: RawObjects, sizes: list[SizeHW | None], problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) in pixels, cut at the image's edges, and (N,) which of them can be used."""
    size_hw = np.array([size or (0, 0) for size in sizes], np.float64).reshape(-1, 2)
    size_hw = size_hw[objects.images]  # N 2
    boxes = objects.boxes_xyxy
    if objects.normalized:
        boxes = boxes * np.tile(size_hw[:, ::-1], 2)
    present = size_hw.min(axis=1, initial=np.inf) > 0
    finite = np.isfinite(boxes).all(axis=1)
    filled = np.where(finite[:, None], boxes, 0)
    limits = np.tile(size_hw[:, ::-1], 2)  # N 4: w h w h
    clipped = np.clip(filled, 0, limits)
    reversed_ = (filled[:, 2:] < filled[:, :2]).any(axis=1)
    empty = thin(filled)
    off = ((filled[:, :2] > limits[:, :2]) | (filled[:, 2:] < 0)).any(axis=1)
    outside = ~reversed_ & (off | (~empty & thin(clipped)))
    beyond = np.abs(clipped - filled).max(axis=1, initial=0) > EDGE_TOLERANCE
    sound = present & finite & ~reversed_ & ~outside
    empty &= ~reversed_ & ~outside
    faults: tuple[tuple[ProblemKind, np.ndarray, str], ...] = (
        ("unreadable entry", present & ~finite, "a coordinate is not finite: left out"),
        ("box of zero area", present & finite & reversed_, "a side is negative: left out"),
        ("box of zero area", sound & empty, "counts as missed, teaches nothing"),
        ("box outside the image", present & finite & outside, "left out"),
        ("box over the edge", sound & beyond, "cut at the edge"),
    )
    for kind, faulty, done in faults:
        for row in np.flatnonzero(faulty).tolist():
            box = ", ".join(f"{value:g}" for value in boxes[row])
            problems.add(kind, objects.name_object(row), f"[{box}] x y x y: {done}")
    return clipped, sound


def thin(boxes: np.ndarray) -> np.ndarray:
    """(N,) whether a side is shorter than `SMALLEST_SIDE`, or negative."""
    return ((boxes[:, 2:] - boxes[:, :2]) < SMALLEST_SIDE).any(axis=1)


def _segment(
    objects: RawObjects, row: int, sizes: list[SizeHW | None], problems: Problems, wanted: bool
) -> Segment | None:
    """The usable outline of one object, in pixels; absent ones are told where they are wanted."""
    segment = None if objects.segments is None else objects.segments[row]
    size = sizes[objects.images[row]]
    kept = "its box alone is taken"
    if row in objects.broken:
        problems.add("unusable mask", objects.name_object(row), f"{objects.broken[row]}: {kept}")
        return None
    if segment is None:
        if wanted and not objects.is_crowd[row]:
            done = f"the others have one: {kept}"
            problems.add("object without mask", objects.name_object(row), done)
        return None
    if segment.size_hw not in (None, size) and segment.size_hw and size:
        done = f"{_times(segment.size_hw)}, its image is {_times(size)}: {kept}"
        problems.add("mask of another size", objects.name_object(row), done)
        return None
    if objects.normalized and size:
        scale = np.array([size[1], size[0]], np.float64)
        parts = tuple((part.reshape(-1, 2) * scale).ravel() for part in segment.polygons)
        return Segment(polygons=parts)
    return segment


def _times(size: SizeHW) -> str:
    return f"{size[0]}x{size[1]}"


def _areas(
    stated: np.ndarray, boxes_xyxy: np.ndarray, segments: list[Segment | None] | None
) -> np.ndarray:
    """(N,) float32 pixels: as stated, else of the mask, else of the box."""
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    areas = np.where(np.isnan(stated), sides.prod(axis=1), stated)
    for row in np.flatnonzero(np.isnan(stated)).tolist() if segments else ():
        segment = segments[row] if segments else None
        if segment is not None and segment.polygons:
            areas[row] = max(sum(_polygon_area(part) for part in segment.polygons), 1.0)
        elif segment is not None and segment.size_hw is not None:
            areas[row] = rle_areas([segment.counts], [segment.size_hw])[0]
    return areas.astype(np.float32)


def _polygon_area(flat: np.ndarray) -> float:
    x, y = flat[0::2], flat[1::2]
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
