"""Losses per element, in float32; the heads choose what to sum and what to divide by.

Legend: N boxes, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from swinkit.detection.boxes.overlap import giou


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """|prediction - target|, any equal shapes."""
    return (prediction.float() - target.float()).abs()


def smooth_l1(prediction: Tensor, target: Tensor, beta: float) -> Tensor:
    """L1 that is quadratic below `beta` (1504.08083); plain L1 for beta 0. Any equal shapes."""
    return F.smooth_l1_loss(prediction.float(), target.float(), reduction="none", beta=beta)


def giou_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """(N,) 1 - generalised IoU of (N, 4) boxes_xyxy, in 0..2 (1902.09630)."""
    return 1 - giou(prediction, target)


def sigmoid_focal(
    logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """(N, K) focal loss of (N, K) logits (1708.02002, equation 5).

    Args:
        labels: (N,) classes; K means background, no class at all.
    """
    wanted = torch.zeros(logits.shape[0], logits.shape[1] + 1, device=logits.device)
    wanted = wanted.scatter_(1, labels[:, None], 1.0)[:, :-1]
    return sigmoid_focal_loss(logits.float(), wanted, alpha=alpha, gamma=gamma, reduction="none")
