"""Boxes as offsets from other boxes, what a network regresses.

Legend: N boxes, K classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from swinkit.settings import SizeHW

# A box may become at most 1000 / 16 times larger or smaller than its anchor.
MAX_LOG_RATIO = abs(math.log(16 / 1000))


@dataclass(frozen=True)
class BoxCoder:
    """Shift of the centre in units of the anchor's sides, and logarithm of the ratio of the sides.

    dx = (x - xa) / wa, dy = (y - ya) / ha, dw = log(w / wa), dh = log(h / ha), each divided by its
    standard deviation. Computed in float32 whatever comes in.

    Source: R-CNN (1311.2524, appendix C); DeltaXYWHBBoxCoder of mmdet.
    """

    stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def encode(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4) boxes_xyxy seen from (N, 4) anchors -> (N, 4) deltas; both with area > 0."""
        anchors, boxes = anchors.float(), boxes.float()
        sides, box_sides = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
        centres = (anchors[:, :2] + anchors[:, 2:]) * 0.5
        box_centres = (boxes[:, :2] + boxes[:, 2:]) * 0.5
        shift = (box_centres - centres) / sides
        growth = torch.log(box_sides / sides)
        return torch.cat([shift, growth], dim=1) / anchors.new_tensor(self.stds)

    def decode(self, anchors: Tensor, deltas: Tensor, size_hw: SizeHW | None = None) -> Tensor:
        """(N, 4) anchors moved by (N, 4) or (N, K * 4) deltas -> boxes_xyxy of the deltas' shape.

        With `size_hw` the boxes are clipped to the image, 0..width and 0..height.
        """
        anchors, moves = anchors.float(), deltas.float()
        count = anchors.shape[0]
        moves = moves.reshape(count, moves.shape[1] // 4, 4) * moves.new_tensor(self.stds)  # N K 4
        centres = ((anchors[:, :2] + anchors[:, 2:]) * 0.5)[:, None]  # N 1 2
        sides = (anchors[:, 2:] - anchors[:, :2])[:, None]  # N 1 2
        centres = centres + sides * moves[..., :2]
        sides = sides * moves[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
        boxes = torch.cat([centres - sides * 0.5, centres + sides * 0.5], dim=-1)
        if size_hw is not None:
            boxes = clip(boxes, size_hw)
        return boxes.reshape(deltas.shape)


def clip(boxes_xyxy: Tensor, size_hw: SizeHW) -> Tensor:
    """Boxes, `... 4`, clipped to 0..width and 0..height."""
    height, width = size_hw
    limit = boxes_xyxy.new_tensor([width, height, width, height])
    return torch.minimum(boxes_xyxy.clamp(min=0), limit)
