"""Losses of box and mask heads on their raw outputs.

Legend: R sampled RoIs of all images, P positives among them, K classes, s side of a mask.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.detection.boxes.geometry import BoxCoder, giou_loss, l1, smooth_l1
from swinkit.detection.roi_config import RoIConfig


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of (R, K + 1) logits, summed over RoIs and divided by their number."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(labels.numel(), 1)


def deltas_of(deltas: Tensor, labels: Tensor) -> Tensor:
    """(N, 4 K) or (N, 4) deltas and (N,) classes -> each box's own (N, 4)."""
    if deltas.shape[-1] == 4:
        return deltas
    rows = torch.arange(labels.numel(), device=labels.device)
    return deltas.unflatten(-1, (-1, 4))[rows, labels]


def box_loss(
    deltas: Tensor,
    boxes: Tensor,
    matched_boxes: Tensor,
    labels: Tensor,
    positive: Tensor,
    coder: BoxCoder,
    config: RoIConfig,
) -> Tensor:
    """Loss of the positives' boxes, summed and divided by the number of all sampled RoIs.

    Args:
        deltas: (R, 4 K) or (R, 4). boxes: (R, 4) RoIs. matched_boxes: (P, 4) true boxes.
        labels: (R,). positive: (R,) bool.
    """
    own = deltas_of(deltas[positive], labels[positive])
    before = boxes[positive]
    if config.box_loss == "giou":
        # The reference does not clip the boxes it trains on.
        total = giou_loss(coder.decode(before, own), matched_boxes).sum()
    else:
        wanted = coder.encode(before, matched_boxes)
        total = (l1(own, wanted) if config.box_loss == "l1" else smooth_l1(own, wanted, 1.0)).sum()
    return config.box_loss_weight * total / max(labels.numel(), 1)


def mask_loss(logits: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy of each positive's own class, the mean over positives and pixels.

    Args:
        logits: (P, K, s, s). labels: (P,). wanted: (P, s, s) of 0 and 1.
    """
    rows = torch.arange(labels.numel(), device=labels.device)
    own = logits[rows, labels]  # P s s
    total = F.binary_cross_entropy_with_logits(own, wanted.to(own.dtype), reduction="sum")
    return total / max(own.numel(), 1)
