"""What the readers of annotation files share: images and objects as they stand there. N objects.

Checking them against the images is the same for all; see samples.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.rle import Segment
from swinkit.settings import SizeHW

AnnotationKind = Literal["coco", "voc", "yolo", "labelme", "cvat", "csv"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """An image that a file names.

    Attributes:
        path: the image file, or None where none was found.
        image_id: the file's number for it, or None.
        size_hw: the size that the file states, or None.
        where: how messages name it.
        name: as the file writes it; images of equal names are one.
    """

    path: Path | None
    image_id: int | None
    size_hw: SizeHW | None
    where: str
    name: str = ""


class RawObject(NamedTuple):
    """One object; see `RawObjects` for the fields."""

    image: int
    box_xyxy: Box
    label: int
    where: str
    is_crowd: bool = False
    area: float = float("nan")
    segment: Segment | None = None
    broken: str = ""


@dataclass(frozen=True, kw_only=True)
class RawObjects:
    """Objects by columns.

    Attributes:
        images: (N,) int64, index of each object's image.
        boxes_xyxy: (N, 4) float64, unchecked; in parts of the image where `normalized`.
        names: (N,) int64, index into the `class_names` of the split.
        is_crowd: (N,) bool.
        areas: (N,) float64; NaN where unknown.
        segments: an outline or None for each; None where the file has no outlines at all.
        broken: rows whose outline cannot be used, with the reason.
        name_object: how messages name object i.
        normalized: whether boxes and polygons run from 0 to 1.
    """

    images: np.ndarray
    boxes_xyxy: np.ndarray
    names: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    segments: list[Segment | None] | None
    broken: dict[int, str] = field(default_factory=dict)
    name_object: Callable[[int], str]
    normalized: bool = False

    def take(self, rows: np.ndarray) -> "RawObjects":
        """Only some of them, by their numbers."""
        listed, name_object = rows.tolist(), self.name_object
        segments = self.segments
        return replace(
            self,
            images=self.images[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            names=self.names[rows],
            is_crowd=self.is_crowd[rows],
            areas=self.areas[rows],
            segments=None if segments is None else [segments[row] for row in listed],
            broken={new: self.broken[row] for new, row in enumerate(listed) if row in self.broken},
            name_object=lambda row: name_object(listed[row]),
        )


def tabulate(
    objects: Sequence[RawObject], *, prefix: str = "", normalized: bool = False
) -> RawObjects:
    """Objects by columns; `prefix` stands before the `where` of each."""
    places = [item.where for item in objects]
    broken = {row: item.broken for row, item in enumerate(objects) if item.broken}
    segments = [item.segment for item in objects]
    return RawObjects(
        images=np.array([item.image for item in objects], np.int64),
        boxes_xyxy=np.array([item.box_xyxy for item in objects], np.float64).reshape(-1, 4),
        names=np.array([item.label for item in objects], np.int64),
        is_crowd=np.array([item.is_crowd for item in objects], bool),
        areas=np.array([item.area for item in objects], np.float64),
        segments=segments if broken or any(segments) else None,
        broken=broken,
        name_object=lambda row: prefix + places[row],
        normalized=normalized,
    )


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """The images and objects of one split; "all" where the files name no split.

    Attributes:
        class_names: names that `objects.names` points to.
        category_ids: the files' numbers for them.
        faulty: rows of images of which an object could not be read.
    """

    images: list[RawImage]
    objects: RawObjects
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    faulty: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class AnnotationFiles:
    """The annotation files of a recognized data set.

    Attributes:
        kind: how they are written.
        read: the images and objects of each split; what cannot be read is recorded.
        notes: remarks on which files were taken.
    """

    kind: AnnotationKind
    read: Callable[[Problems], dict[str, RawSplit]]
    notes: tuple[str, ...] = ()
