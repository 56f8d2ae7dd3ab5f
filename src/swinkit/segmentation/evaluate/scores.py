"""Scores of label maps, gathered image by image. H W map, K classes; confusion: row truth."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from swinkit.errors import DataError

TOLERANCE = 0.0075
"""Part of the image's diagonal, as proposed by Csurka et al. (BMVC 2013)."""


def boundary_f1(
    predicted: np.ndarray,
    truth: np.ndarray,
    num_classes: int,
    *,
    tolerance: float = TOLERANCE,
    ignore_index: int = 255,
) -> np.ndarray:
    """F1 of each class's boundary in one image, after Csurka et al., "What is a good evaluation
    measure for semantic segmentation?" (BMVC 2013), section 3.

    A boundary pixel of a class is a pixel of that class beside (above, below, left, right) a pixel
    of another one. Precision is the part of the predicted boundary pixels that lie within the
    tolerance of a true one of the same class, recall the part of the true ones that lie within the
    tolerance of a predicted one. The border of the image is no boundary; where the truth is void
    the prediction is taken as void too, and the edge of void is no boundary.

    Args:
        predicted, truth: (H, W) integer labels.
        num_classes: K.
        tolerance: largest distance, center to center, as a part of the image's diagonal; at least
            one pixel is always allowed.
        ignore_index: void in the truth.

    Returns:
        (K,) F1; NaN for a class that has no boundary in either map.
    """
    reach = max(1.0, tolerance * math.hypot(*truth.shape))
    void = truth == ignore_index
    found = _boundaries(np.where(void, ignore_index, predicted), num_classes, ignore_index)
    wanted = _boundaries(truth, num_classes, ignore_index)
    scores = np.full(num_classes, np.nan)
    for label, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        if not len(ours) and not len(theirs):
            continue
        if not len(ours) or not len(theirs):
            scores[label] = 0.0
            continue
        precision = _part_near(ours, theirs, reach)
        recall = _part_near(theirs, ours, reach)
        scores[label] = 2 * precision * recall / max(precision + recall, 1e-12)
    return scores


def _part_near(points: np.ndarray, others: np.ndarray, reach: float) -> float:
    # The bound is exclusive, and a distance of exactly `reach` is near.
    bound = np.nextafter(reach, math.inf) + 1e-9
    distances, _ = cKDTree(others).query(points, distance_upper_bound=bound)
    return float(np.isfinite(distances).mean())


def _boundaries(labels: np.ndarray, num_classes: int, ignore_index: int) -> list[np.ndarray]:
    """For each class the (P, 2) rows and columns of its boundary pixels."""
    sound = labels != ignore_index
    edge = np.zeros(labels.shape, bool)
    across = (labels[:, 1:] != labels[:, :-1]) & sound[:, 1:] & sound[:, :-1]
    down = (labels[1:] != labels[:-1]) & sound[1:] & sound[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    points = np.argwhere(edge)
    classes = labels[edge]
    order = np.argsort(classes, kind="stable")
    limits = np.searchsorted(classes[order], np.arange(num_classes + 1))
    return [points[order[start:end]] for start, end in pairwise(limits)]


@dataclass(frozen=True, kw_only=True)
class ClassIoU:
    """How one class fared; NaN where there is nothing to divide by."""

    name: str
    iou: float
    """Pixels that are of the class and called so, over those that are either."""
    accuracy: float
    """Part of the class's pixels that are called so (recall)."""
    precision: float
    """Part of the pixels called so that are."""
    boundary_f1: float
    """Mean over the images in which the class has a boundary; see `boundary_f1`."""
    pixels: int
    """Pixels of the class in the truth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationScores:
    """Numbers of a segmenter on a set of images; all images count together, pixel by pixel.

    Attributes:
        class_names: K names.
        confusion: (K, K) int64 pixels, row truth, column prediction; void pixels are left out.
        boundary: (K,) mean boundary F1 over images; NaN where no image has such a boundary, or
            where it was not measured.
        images: how many.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    boundary: np.ndarray
    images: int

    @property
    def iou(self) -> np.ndarray:
        """(K,) intersection over union; NaN for a class neither present nor predicted."""
        right = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - right
        return _ratio(right, union)

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that are present or predicted."""
        return _nanmean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Part of all pixels whose class is right."""
        return float(np.trace(self.confusion) / max(int(self.confusion.sum()), 1))

    @property
    def mean_accuracy(self) -> float:
        """Mean over the classes that are present of the part of their pixels that is right."""
        return _nanmean(_ratio(np.diag(self.confusion), self.confusion.sum(1)))

    @property
    def mean_boundary_f1(self) -> float:
        """Mean of the classes' boundary F1."""
        return _nanmean(self.boundary)

    @property
    def per_class(self) -> tuple[ClassIoU, ...]:
        """One entry per class, in their order."""
        right = np.diag(self.confusion)
        pixels, called = self.confusion.sum(1), self.confusion.sum(0)
        ratios = (self.iou, _ratio(right, pixels), _ratio(right, called), self.boundary)
        columns = (values.tolist() for values in (*ratios, pixels))
        return tuple(
            ClassIoU(name=name, iou=i, accuracy=a, precision=p, boundary_f1=b, pixels=count)
            for name, i, a, p, b, count in zip(self.class_names, *columns, strict=True)
        )

    def numbers(self) -> dict[str, float]:
        """The summary by name."""
        return {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "boundary_f1": self.mean_boundary_f1,
        }


class SegmentationEvaluator:
    """Counts label maps of any size into one confusion matrix, image by image.

    By torchmetrics' function, not its metric, which does not tell the counts of a single image; the
    one takes 3.5, the other 2.9 ms for 360 x 480 pixels of 11 classes.
    With several processes each updates its own images and `state` of all goes to `merge` of one.
    Counts cannot be taken back: images that a sampler repeats must not be updated twice.

    Args:
        class_names: K names.
        ignore_index: void in the truth.
        boundary_tolerance: see `boundary_f1`; None leaves the boundaries out, which is faster.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        *,
        ignore_index: int = 255,
        boundary_tolerance: float | None = TOLERANCE,
    ) -> None:
        self.class_names = tuple(class_names)
        self.ignore_index = ignore_index
        self.boundary_tolerance = boundary_tolerance
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        classes = len(self.class_names)
        self.confusion = np.zeros((classes, classes), np.int64)
        self._boundary_sum = np.zeros(classes)
        self._boundary_images = np.zeros(classes, np.int64)
        self._images = 0

    def update(
        self, predicted: Tensor | np.ndarray, truth: Tensor | np.ndarray, *, name: str = "image"
    ) -> SegmentationScores:
        """Count one image, (H, W) labels each, and give its own scores.

        Raises:
            DataError: maps of different sizes, or labels outside the classes.
        """
        predicted, truth = _tensor(predicted), _tensor(truth)
        self._check(predicted, truth, name)
        classes = len(self.class_names)
        counted = multiclass_confusion_matrix(
            predicted.long(),
            truth.to(predicted.device).long(),
            classes,
            ignore_index=self.ignore_index,
            validate_args=False,
        )
        confusion = counted.cpu().numpy().astype(np.int64)
        boundary = np.full(classes, np.nan)
        if self.boundary_tolerance is not None:
            boundary = boundary_f1(
                predicted.cpu().numpy(),
                truth.cpu().numpy(),
                classes,
                tolerance=self.boundary_tolerance,
                ignore_index=self.ignore_index,
            )
        self.confusion += confusion
        self._boundary_sum += np.nan_to_num(boundary)
        self._boundary_images += ~np.isnan(boundary)
        self._images += 1
        return SegmentationScores(
            class_names=self.class_names, confusion=confusion, boundary=boundary, images=1
        )

    def _check(self, predicted: Tensor, truth: Tensor, name: str) -> None:
        if predicted.ndim != 2 or predicted.shape != truth.shape:
            raise DataError(
                f"{name}: expected two (H, W) label maps of one size, got the prediction "
                f"{tuple(predicted.shape)} and the truth {tuple(truth.shape)}"
            )
        classes = len(self.class_names)
        sound = truth[truth != self.ignore_index]
        for what, labels in (("truth", sound), ("prediction", predicted)):
            if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
                raise DataError(
                    f"{name}: the {what} has labels {int(labels.min())} to {int(labels.max())}, "
                    f"but there are {classes} classes; check the class list"
                )

    def state(self) -> dict[str, Any]:
        """What this process has gathered, to be sent to others."""
        return {
            "confusion": self.confusion,
            "boundary_sum": self._boundary_sum,
            "boundary_images": self._boundary_images,
            "images": self._images,
        }

    def merge(self, states: Iterable[dict[str, Any]]) -> None:
        """Add the states of other processes; not one's own."""
        for state in states:
            self.confusion = self.confusion + state["confusion"]
            self._boundary_sum = self._boundary_sum + state["boundary_sum"]
            self._boundary_images = self._boundary_images + state["boundary_images"]
            self._images += state["images"]

    def compute(self) -> SegmentationScores:
        """Scores of everything gathered so far."""
        return SegmentationScores(
            class_names=self.class_names,
            confusion=self.confusion.copy(),
            boundary=_ratio(self._boundary_sum, self._boundary_images),
            images=self._images,
        )


def _tensor(labels: Tensor | np.ndarray) -> Tensor:
    # PyTorch warns of read-only arrays, as results hold them: those are copied.
    return labels if isinstance(labels, Tensor) else torch.from_numpy(np.require(labels, None, "W"))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _nanmean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
