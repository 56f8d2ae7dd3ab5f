"""Boxes for tests with hypothesis; detections of given RoIs, each with the RoI it came from."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.suppression import pairs_above, suppress
from swinkit.detection.config import Suppression


@st.composite
def boxes(draw: st.DrawFn, minimum: int = 0, maximum: int = 12, smallest: float = 0.0) -> Tensor:
    """(number, 4) boxes_xyxy within 100 x 100 pixels, sides from `smallest` on."""
    number = draw(st.integers(minimum, maximum))
    side = st.floats(smallest, 50, width=32, allow_subnormal=False)
    corner = st.floats(0, 50, width=32, allow_subnormal=False)
    rows = [[draw(corner), draw(corner), draw(side), draw(side)] for _ in range(number)]
    found = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    return torch.cat([found[:, :2], found[:, :2] + found[:, 2:]], dim=1)


def multiclass_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    score_threshold: float,
    suppression: Suppression,
    max_per_image: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, scores, labels and RoIs of the best detections."""
    found, rows = pairs_above(boxes, scores, score_threshold)
    best, kept = suppress(found, suppression, max_per_image)
    return found.boxes_xyxy[kept], best, found.labels[kept], rows[kept]
