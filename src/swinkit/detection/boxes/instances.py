"""The objects of one image as tensors: those that are there, and those that a detector found.

Legend: G ground-truth objects, I ignored regions, H W image, N detections, s side of a mask.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from swinkit.errors import DataError
from swinkit.settings import SizeHW


def _no_boxes() -> Tensor:
    return torch.zeros(0, 4)


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceTarget:
    """The objects of one image that a detector trains on; any number, also none.

    Attributes:
        boxes_xyxy: (G, 4) float32, corners in pixels of the network's input.
        labels: (G,) int64, 0-based classes; there is no class for background.
        size_hw: the image without the padding of its batch.
        masks: (G, H, W) uint8 of 0 and 1, at the size of the image or of its padded batch, or None.
        box_only: (G,) bool: objects whose masks teach nothing, being their rectangles; None: none.
        ignored_xyxy: (I, 4) crowd regions: no candidate is matched to them, and candidates that
            lie mostly inside one are not taken for background.

    Raises:
        DataError: shapes that do not fit each other.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    size_hw: SizeHW
    masks: Tensor | None = None
    box_only: Tensor | None = None
    ignored_xyxy: Tensor = field(default_factory=_no_boxes)

    def __post_init__(self) -> None:
        count = self.boxes_xyxy.shape[0]
        for name, boxes in (("boxes_xyxy", self.boxes_xyxy), ("ignored_xyxy", self.ignored_xyxy)):
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise DataError(
                    f"target {name}: expected shape (number, 4), got {tuple(boxes.shape)}"
                )
        if self.labels.shape != (count,):
            raise DataError(
                f"target labels: expected shape ({count},), one for each box, "
                f"got {tuple(self.labels.shape)}"
            )
        if self.box_only is not None and self.box_only.shape != (count,):
            raise DataError(
                f"target box_only: expected shape ({count},), one for each box, "
                f"got {tuple(self.box_only.shape)}"
            )
        if self.masks is not None and (self.masks.ndim != 3 or self.masks.shape[0] != count):
            raise DataError(
                f"target masks: expected shape ({count}, height, width), one for each box, "
                f"got {tuple(self.masks.shape)}"
            )

    def __len__(self) -> int:
        return self.boxes_xyxy.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "InstanceTarget":
        masks, box_only = self.masks, self.box_only
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
            masks=None if masks is None else masks.to(device, non_blocking=non_blocking),
            box_only=None if box_only is None else box_only.to(device, non_blocking=non_blocking),
            ignored_xyxy=self.ignored_xyxy.to(device, non_blocking=non_blocking),
        )


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
