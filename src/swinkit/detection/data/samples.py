"""Images with their objects, in splits. G objects, H W map, K classes; NumPy only."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problem, describe_problems
from swinkit.data.tables import align
from swinkit.detection.data.rle import Segment, decode_segments
from swinkit.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionSample:
    """One image and its objects.

    Attributes:
        path: the image file.
        image_id: its number, unique in its split; COCO's own where each image has one.
        size_hw: (height, width) in pixels, upright.
        boxes_xyxy: (G, 4) float32, inside the image, of positive area.
        labels: (G,) int64, index into the class names.
        is_crowd: (G,) bool: regions of many objects, and objects marked difficult or without a
            usable mask; they are neither found nor missed.
        segments: an outline per object, None where only the box is known (such objects are
            `is_crowd`); None for a data set without masks.
        areas: (G,) float32, in pixels; COCO's own where there is one.
    """

    path: Path
    image_id: int
    size_hw: tuple[int, int]
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    segments: tuple[Segment | None, ...] | None
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def masks(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Masks (G, H, W) uint8 of 0 and 1, or only those of `rows` (indices).

        An object of which only the box is known has its rectangle as mask.

        Raises:
            DataError: the data set has no masks.
        """
        if self.segments is None:
            raise DataError(f"{self.path}: has boxes but no masks; train a detector of boxes")
        chosen = range(len(self)) if rows is None else [int(row) for row in rows]
        segments = [self.segments[row] or self._rectangle(row) for row in chosen]
        return decode_segments(segments, self.size_hw)

    def _rectangle(self, row: int) -> Segment:
        left, top, right, bottom = self.boxes_xyxy[row].astype(np.float64)
        corners = np.array([left, top, right, top, right, bottom, left, bottom])
        return Segment(polygons=(corners,))


@dataclass(frozen=True, kw_only=True)
class DetectionSplits:
    """The samples of each split.

    Attributes:
        train, val: samples, sorted by path.
        test: the same, or None where there is no test split.
        class_names: K names; a sample's label is an index into them.
        category_ids: K numbers, under which the files know the classes.
        kind: "coco", "voc" or "yolo".
        has_masks: whether the objects have masks.
        notes: what was found on the way that a person should know, one line each.
        problems: what was wrong, item by item.
    """

    train: list[DetectionSample]
    val: list[DetectionSample]
    test: list[DetectionSample] | None
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    kind: str
    has_masks: bool
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def by_name(self) -> dict[str, list[DetectionSample]]:
        """The splits that exist, under their names."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    def counts(self) -> dict[str, dict[str, int]]:
        """Objects per class, per split; crowd regions are not counted."""
        return {
            name: object_counts(samples, self.class_names)
            for name, samples in self.by_name().items()
        }

    def summary(self) -> str:
        """A table of plain text, classes by splits, followed by the notes and problems."""
        splits = self.by_name()
        counts = self.counts()
        rows = [["class", *splits]]
        rows += [[name, *(str(counts[s][name]) for s in splits)] for name in self.class_names]
        rows += [
            ["all objects", *(str(sum(counts[split].values())) for split in splits)],
            ["crowd or ignored", *(str(_crowds(samples)) for samples in splits.values())],
            ["images", *(str(len(samples)) for samples in splits.values())],
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([*align(rows), *notes, *describe_problems(self.problems)])


def object_counts(samples: list[DetectionSample], class_names: tuple[str, ...]) -> dict[str, int]:
    """Objects of each class, zeros included; crowd regions are not counted."""
    found: Counter[int] = Counter()
    for sample in samples:
        found.update(sample.labels[~sample.is_crowd].tolist())
    return {name: found[index] for index, name in enumerate(class_names)}


def _crowds(samples: list[DetectionSample]) -> int:
    return sum(int(sample.is_crowd.sum()) for sample in samples)
