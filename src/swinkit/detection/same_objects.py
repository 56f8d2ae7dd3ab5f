"""Whether two detectors find the same objects.

Legend: N M objects of an image that are expected, and found.
"""

from collections.abc import Sequence

import torch

from swinkit.detection.boxes.instances import RawDetections
from swinkit.settings import SizeHW
from swinkit.task.weights import Agreement

# Objects of one class whose boxes differ by less, of the image's longer side, are the same.
SAME_OBJECT = 1e-2


def compare_detections(
    found: Sequence[RawDetections], expected: Sequence[RawDetections], image_hw: SizeHW
) -> Agreement:
    """Of a batch's images of `image_hw` pixels.

    Differences are the largest of the objects that both find: of their boxes in units of the
    image's longer side, of their scores and mask probabilities.
    """
    worst, same, total = 0.0, 0, 0
    for ours, theirs in zip(found, expected, strict=True):
        pairs = _pairs(ours, theirs, max(image_hw))
        same, total = same + 2 * len(pairs), total + len(ours) + len(theirs)
        worst = max([worst, *(_difference(ours, theirs, *pair) for pair in pairs)])
    return Agreement(worst, same / total if total else 1.0)


def _pairs(
    found: RawDetections, expected: RawDetections, side: int
) -> list[tuple[int, int, float]]:
    """Rows of the same objects, each in one pair at most, and the difference of their boxes."""
    gaps = (found.boxes_xyxy[:, None] - expected.boxes_xyxy[None]).abs().amax(-1) / side  # M N
    gaps = torch.where(found.labels[:, None] == expected.labels[None], gaps, torch.inf)
    pairs: list[tuple[int, int, float]] = []
    free = torch.ones(len(found), dtype=torch.bool)
    for column in range(len(expected)):
        own = torch.where(free, gaps[:, column], torch.inf)
        if len(own) and float(own.min()) < SAME_OBJECT:
            row = int(own.argmin())
            free[row] = False
            pairs.append((row, column, float(own[row])))
    return pairs


def _difference(
    found: RawDetections, expected: RawDetections, row: int, column: int, box: float
) -> float:
    gap = max(box, float((found.scores[row] - expected.scores[column]).abs()))
    if found.mask_probabilities is None or expected.mask_probabilities is None:
        return gap
    masks = found.mask_probabilities[row] - expected.mask_probabilities[column]
    return max(gap, float(masks.abs().max()))
