"""What the readers of annotation files share: images and objects as they stand there. N objects.

Checking them against the images is the same for all; see samples.py.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.detection.data.rle import Segment
from swinkit.errors import DataError
from swinkit.parsing import reason_of
from swinkit.settings import SizeHW

AnnotationKind = Literal["coco", "voc", "yolo", "labelme", "cvat"]
Box = tuple[float, float, float, float]

HEAD_BYTES = 4096
SHOWN = 60  # characters of a value in a message


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
class RawPage:
    """What one annotation file, or one entry for an image, says.

    Attributes:
        image: the image.
        objects: each with the name of its class; their `image` and `label` are not set yet.
        faulty: whether an object of it could not be read.
    """

    image: RawImage
    objects: list[tuple[str, RawObject]]
    faulty: bool = False


def join_pages(
    pages: dict[str, list[RawPage]], class_names: Sequence[str] = ()
) -> dict[str, RawSplit]:
    """The splits of pages; classes in the order of `class_names`, others behind them by name."""
    used = {name for listed in pages.values() for page in listed for name, _ in page.objects}
    names = [*dict.fromkeys(class_names), *sorted(used - set(class_names))]
    label = {name: place for place, name in enumerate(names)}
    return {
        split: RawSplit(
            images=[page.image for page in listed],
            objects=tabulate(
                [
                    item._replace(image=row, label=label[name])
                    for row, page in enumerate(listed)
                    for name, item in page.objects
                ]
            ),
            class_names=tuple(names),
            category_ids=tuple(range(1, len(names) + 1)),
            faulty=frozenset(row for row, page in enumerate(listed) if page.faulty),
        )
        for split, listed in pages.items()
    }


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


def short(value: object) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name tells: instances_train2017 is train."""
    words = re.split(r"[^a-z]+", name.lower())
    splits = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    if "minival" in words:
        splits.add("val")
    if "trainval" in words:
        splits.add("train")
    return splits.pop() if len(splits) == 1 else None


def head_of(file: Path) -> bytes:
    """The first bytes of a file, to find out what it is; none where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(HEAD_BYTES).replace(b"\0", b"")  # UTF-16 looks like UTF-8 then
    except OSError:
        return b""


def subfolders(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones. Raises DataError: not readable."""
    try:
        return sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}; check the folder") from error
