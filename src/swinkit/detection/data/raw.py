"""What the readers of COCO, VOC and YOLO files hand on: images and objects as they stand there.

N objects. Checking them against the images is the same for all three; see assemble.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swinkit.detection.data.rle import Segment


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """An image that a file names.

    Attributes:
        path: the image file, or None where none was found.
        image_id: the file's number for it, or None.
        size_hw: the size that the file states, or None.
        where: how messages name it.
    """

    path: Path | None
    image_id: int | None
    size_hw: tuple[int, int] | None
    where: str


@dataclass(frozen=True, kw_only=True)
class RawObjects:
    """Objects by columns.

    Attributes:
        images: (N,) int64, index of each object's image.
        boxes_xyxy: (N, 4) float64, unchecked; in parts of the image where `normalised`.
        names: (N,) int64, index into the `class_names` of the split.
        is_crowd: (N,) bool.
        areas: (N,) float64; NaN where unknown.
        segments: an outline or None for each; None where the file has no outlines at all.
        broken: rows whose outline cannot be used, with the reason.
        name_object: how messages name object i.
        normalised: whether boxes and polygons run from 0 to 1.
    """

    images: np.ndarray
    boxes_xyxy: np.ndarray
    names: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    segments: list[Segment | None] | None
    broken: dict[int, str] = field(default_factory=dict)
    name_object: Callable[[int], str]
    normalised: bool = False


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """The images and objects of one split; "all" where the files name no split.

    Attributes:
        class_names: names that `objects.names` points to.
        category_ids: the files' numbers for them.
    """

    images: list[RawImage]
    objects: RawObjects
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
