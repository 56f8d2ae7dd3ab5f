"""How well the outlines of two label maps agree. H W map, P boundary pixels, K classes."""

import math
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

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
