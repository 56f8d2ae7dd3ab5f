"""A detector's answer on tensors, before it becomes a result in the pixels of the original image.

Legend: N detections of an image, s side of a mask.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class RawDetections:
    """The detections of one image, best first.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the network's input.
        scores: (N,) float32. labels: (N,) int64, 0-based classes.
        mask_probabilities: (N, s, s) of the mask inside each box, or None.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor
    mask_probabilities: Tensor | None = None

    def __len__(self) -> int:
        return self.boxes_xyxy.shape[0]

    def to(self, device: torch.device | str) -> "RawDetections":
        masks = self.mask_probabilities
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy.to(device),
            scores=self.scores.to(device),
            labels=self.labels.to(device),
            mask_probabilities=None if masks is None else masks.to(device),
        )

    def select(self, rows: Tensor) -> "RawDetections":
        """The detections at `rows`: indices, or (N,) bool."""
        masks = self.mask_probabilities
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            mask_probabilities=None if masks is None else masks[rows],
        )
