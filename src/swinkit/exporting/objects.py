"""Whether an exported detector finds the objects that PyTorch finds.

Legend: B batch, C channels, H W image, N M objects of an image that are expected, and found.
"""

import torch
from torch import Tensor

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.exported import ExportedDetector
from swinkit.detection.network.base import DetectionNetwork

# Objects of one class whose boxes differ by less, of the image's longer side, are the same.
SAME_OBJECT = 1e-2
# Share of objects that must be the same: the order of nearly equal scores decides what suppression
# leaves, so that rounding may exchange a box for another.
SAME_OBJECTS = 0.98


def compare_detections(
    model: DetectionNetwork, exported: ExportedDetector, images: Tensor
) -> tuple[float, float]:
    """On `B C H W` images, of which all but the first are padded.

    Returns:
        The largest difference of the objects that both find: of their boxes in units of the
        image's longer side, of their scores and mask probabilities; and the share of such objects.
    """
    height, width = images.shape[2:]
    sizes = [(max(1, height - 3 * row), max(1, width - 2 * row)) for row in range(len(images))]
    with torch.no_grad():
        expected = model(images, sizes)
    worst, same, total = 0.0, 0, 0
    for ours, theirs in zip(exported(images, sizes), expected, strict=True):
        pairs = _pairs(ours, theirs, max(height, width))
        same, total = same + 2 * len(pairs), total + len(ours) + len(theirs)
        worst = max([worst, *(_difference(ours, theirs, *pair) for pair in pairs)])
    return worst, same / total if total else 1.0


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
