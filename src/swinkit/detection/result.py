"""Objects found in an image, as validated values. N objects, K classes, H W image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from swinkit.errors import SwinkitError, require
from swinkit.images.masks import compact_masks, to_coco
from swinkit.images.reading import check_rgb
from swinkit.pictures.annotating import as_figure, draw_objects
from swinkit.task.format import CocoResult

if TYPE_CHECKING:
    import supervision
    from matplotlib.figure import Figure
    from supervision.detection.compact_mask import CompactMask

SCORE_TOLERANCE = 1e-3

Found = TypeVar("Found", bound="Detections")


@dataclass(frozen=True, eq=False)
class Detections(CocoResult):
    """The objects of one image: boxes in its pixels, best first as models give them.

    Attributes:
        class_names: K names.
        boxes_xyxy: (N, 4) float32, left, top, right, bottom in pixels of the image as read;
            kept, as the next two, as a read-only copy.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64, places in `class_names`.
        size_hw: (height, width) of the image.
        source: the file, or whatever else names the image.
        image_rgb: the image as read, (H, W, 3) uint8, for `plot`.
        seconds: time that this image took, its share of the batch.

    Raises:
        SwinkitError: shapes that do not fit each other, values that are no boxes, scores or
            labels (a model whose weights hold NaN gives such).

    Example:
        >>> import numpy as np, swinkit
        >>> boxes = np.array([[4, 2, 40, 30], [50, 10, 90, 60]])
        >>> scores, labels = np.array([0.9, 0.4]), np.array([1, 0])
        >>> found = swinkit.Detections(("cat", "dog"), boxes, scores, labels, size_hw=(64, 96))
        >>> found
        Detections(1 cat, 1 dog)
        >>> found.above(0.5).names
        ('dog',)
    """

    class_names: tuple[str, ...]
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    size_hw: tuple[int, int]
    source: str | None = None
    image_rgb: np.ndarray | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        where = f" for {self.source}" if self.source else ""
        set_ = object.__setattr__
        set_(self, "class_names", tuple(str(name) for name in self.class_names))
        set_(self, "size_hw", (int(self.size_hw[0]), int(self.size_hw[1])))
        set_(self, "boxes_xyxy", _frozen(self.boxes_xyxy, np.float32))
        set_(self, "scores", _frozen(self.scores, np.float32))
        set_(self, "labels", _frozen(self.labels, np.int64))
        _check_shapes(self, where)
        _check_values(self, where)
        if self.image_rgb is not None:
            check_rgb(self.image_rgb, where, self.size_hw)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each object."""
        return tuple(self.class_names[label] for label in self.labels)

    def rows(self: Found, numbers: Sequence[int] | np.ndarray) -> Found:
        """The objects of these numbers, in their order."""
        places = np.asarray(numbers, np.int64).reshape(-1)
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[places],
            scores=self.scores[places],
            labels=self.labels[places],
        )

    def above(self: Found, score: float) -> Found:
        """The objects that score higher than `score`."""
        return self.rows(np.flatnonzero(self.scores > score))

    def counts(self) -> dict[str, int]:
        """Objects of each class that has any, in the order of the classes."""
        numbers = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(n) for name, n in zip(self.class_names, numbers, strict=True) if n}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "source": self.source,
            "size_hw": list(self.size_hw),
            "seconds": self.seconds,
            "objects": [self._object(row) for row in range(len(self))],
        }

    def coco_entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The label of each object, its box, score and mask."""
        for row, label in enumerate(self.labels.tolist()):
            left, top, right, bottom = self.boxes_xyxy[row].tolist()
            box = {"bbox": [left, top, right - left, bottom - top]}
            yield label, {**box, "score": float(self.scores[row]), **self._segmentation(row)}

    def to_supervision(self) -> "supervision.Detections":
        """For supervision's trackers, zones, annotators; masks become one array (N, H, W)."""
        sv = require("supervision")
        return sv.Detections(
            xyxy=self.boxes_xyxy.copy(),
            mask=self._dense_masks(),
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": np.array(self.names, dtype=np.str_)},
        )

    def draw(self) -> np.ndarray:
        """The image with its objects drawn on it, (h, w, 3) uint8 RGB, in a size to display."""
        return draw_objects(
            self.image_rgb,
            self.size_hw,
            boxes_xyxy=self.boxes_xyxy,
            labels=self.labels,
            class_names=self.class_names,
            scores=self.scores,
            masks=self._masks(),
        )

    def figure(self) -> "Figure":
        """`draw` as a figure."""
        return as_figure(self.draw())

    def __repr__(self) -> str:
        found = ", ".join(f"{number} {name}" for name, number in self.counts().items())
        where = f", source={self.source!r}" if self.source else ""
        return f"{type(self).__name__}({found or 'nothing'}{where})"

    def _object(self, row: int) -> dict[str, Any]:
        return {
            "label": self.class_names[self.labels[row]],
            "score": float(self.scores[row]),
            "box_xyxy": self.boxes_xyxy[row].tolist(),
            **self._segmentation(row),
        }

    def _segmentation(self, row: int) -> dict[str, Any]:
        return {}

    def _masks(self) -> "CompactMask | None":
        return None

    def _dense_masks(self) -> np.ndarray | None:
        return None


@dataclass(frozen=True, eq=False, repr=False)
class InstanceMasks(Detections):
    """The objects of one image with a mask each.

    Attributes:
        masks: N masks; given as an array (N, H, W), kept as supervision's CompactMask, run lengths
            inside each object's box. `masks[i]` is (H, W) bool, `masks.to_dense()` all of them.

    Raises:
        SwinkitError: masks of another number or size than boxes and image.

    Example:
        >>> import numpy as np, swinkit
        >>> box, mask = np.array([[0, 0, 3, 2]]), np.zeros((1, 4, 6), bool)
        >>> mask[0, :2, :3] = True
        >>> found = swinkit.InstanceMasks(
        ...     ("cat",), box, np.array([0.9]), np.array([0]), size_hw=(4, 6), masks=mask
        ... )
        >>> found.label_map()[0].tolist()
        [1, 1, 1, 0, 0, 0]
    """

    masks: "CompactMask" = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f" for {self.source}" if self.source else ""
        masks = compact_masks(self.masks)
        object.__setattr__(self, "masks", masks)
        expected = (len(self), *self.size_hw)
        if masks.shape != expected:
            raise SwinkitError(
                f"masks{where}: expected shape {expected} (N, H, W), got {masks.shape}"
            )

    def rows(self, numbers: Sequence[int] | np.ndarray) -> "InstanceMasks":
        places = np.asarray(numbers, np.int64).reshape(-1)
        boxes, scores, labels = (
            values[places] for values in (self.boxes_xyxy, self.scores, self.labels)
        )
        masks = self.masks[places]
        return replace(self, boxes_xyxy=boxes, scores=scores, labels=labels, masks=masks)

    def label_map(self) -> np.ndarray:
        """(H, W) uint16: 0 where nothing is, i + 1 where object i is; better scores lie on top."""
        numbers = np.zeros(self.size_hw, np.uint16)
        for row in np.argsort(self.scores, kind="stable"):
            crop, (left, top) = self.masks.crop(int(row)), self.masks.offsets[row]
            part = numbers[top : top + crop.shape[0], left : left + crop.shape[1]]
            part[crop] = row + 1
        return numbers

    def _segmentation(self, row: int) -> dict[str, Any]:
        return {"segmentation": to_coco(self.masks, row)}

    def _masks(self) -> "CompactMask | None":
        return self.masks

    def _dense_masks(self) -> np.ndarray | None:
        return self.masks.to_dense()


def _frozen(values: Any, dtype: Any) -> np.ndarray:
    copy = np.array(values, dtype=dtype)
    copy.flags.writeable = False
    return copy


def _check_shapes(found: Detections, where: str) -> None:
    if not found.class_names:
        raise SwinkitError("detections need at least one class name, got none")
    if min(found.size_hw) < 1:
        raise SwinkitError(f"size_hw{where}: expected (height, width) >= 1, got {found.size_hw}")
    number = len(found.labels) if found.labels.ndim else 0
    for name, expected in (
        ("labels", (number,)),
        ("scores", (number,)),
        ("boxes_xyxy", (number, 4)),
    ):
        shape = getattr(found, name).shape
        if shape != expected:
            raise SwinkitError(f"{name}{where}: expected shape {expected}, got {shape}")


def _check_values(found: Detections, where: str) -> None:
    if len(found) == 0:
        return
    boxes, scores, labels = found.boxes_xyxy, found.scores, found.labels
    for name, values in (("boxes_xyxy", boxes), ("scores", scores)):
        if not np.isfinite(values).all():
            raise SwinkitError(
                f"{name}{where}: {int((~np.isfinite(values)).sum())} of {values.size} are NaN or "
                "infinite; the model's weights are damaged or its numbers overflowed"
            )
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if len(wrong):
        raise SwinkitError(
            f"boxes_xyxy{where}: expected left <= right and top <= bottom, got "
            f"{boxes[wrong[0]].tolist()} at row {wrong[0]}; convert boxes given by their width"
        )
    if scores.min() < -SCORE_TOLERANCE or scores.max() > 1 + SCORE_TOLERANCE:
        raise SwinkitError(
            f"scores{where}: expected values in 0..1, got {scores.min():.4g}..{scores.max():.4g}"
        )
    if labels.min() < 0 or labels.max() >= len(found.class_names):
        raise SwinkitError(
            f"labels{where}: expected 0..{len(found.class_names) - 1}, one of the class names, "
            f"got {labels.min()}..{labels.max()}"
        )
