"""Detections of a whole batch as rows that carry the number of their image.

Here no loop runs over images and nothing branches on sizes or on what is found, so that a graph
made of it takes any batch. Results are those of `suppression.py`, image by image.

Legend: B batch, L candidates of a level, k best of them, N rows of all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from swinkit.windows.layout import is_fixed

MOST_ROWS = 1 << 31  # graphs multiply the largest numbers there may be
NO_SCORE = -1e4  # below all logits and probabilities; half precision holds it


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchDetections:
    """The detections of a batch, those of an image best first.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the network's input. scores: (N,).
        labels: (N,) int64, classes, or levels of proposals. image: (N,) int64, number in the batch.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor
    image: Tensor

    @property
    def rois(self) -> Tensor:
        """(N, 5): number of the image, box."""
        return torch.cat([self.image[:, None].to(self.boxes_xyxy.dtype), self.boxes_xyxy], dim=1)

    def select(self, rows: Tensor) -> "BatchDetections":
        """The detections at (N',) indices."""
        return BatchDetections(
            boxes_xyxy=self.boxes_xyxy.index_select(0, rows),
            scores=self.scores.index_select(0, rows),
            labels=self.labels.index_select(0, rows),
            image=self.image.index_select(0, rows),
        )


def limits_of(sizes_hw: Tensor) -> Tensor:
    """`B 2` heights and widths -> `B 4` float32 largest x, y, x, y of a box."""
    return sizes_hw.flip(1).repeat(1, 2).float()


def best_of(values: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The best `number` of `B L`, best first, and their places, each `B k`.

    Where L is free, k is `number`, and places that do not exist are `NO_SCORE` at place 0.
    """
    if is_fixed(values.shape[1]):
        best = values.topk(min(number, values.shape[1]), dim=1)
        return best.values, best.indices
    best = F.pad(values, (0, number), value=NO_SCORE).topk(number, dim=1)
    return best.values, torch.where(best.values > NO_SCORE, best.indices, 0)


def sound_rows(
    boxes: Sequence[Tensor], scores: Sequence[Tensor], labels: Sequence[Tensor]
) -> BatchDetections:
    """Candidates, `B k 4`, `B k` and `B k` of each level, that exist and have an area."""
    places, values = torch.cat(list(boxes), dim=1), torch.cat(list(scores), dim=1)  # B N 4, B N
    sound = (places[..., 2:] > places[..., :2]).all(-1) & (values > NO_SCORE)
    image = torch.arange(values.shape[0], device=values.device)[:, None].expand_as(values)
    return BatchDetections(
        boxes_xyxy=places.flatten(0, 1),
        scores=values.flatten(),
        labels=torch.cat(list(labels), dim=1).flatten(),
        image=image.flatten(),
    ).select(sound.flatten().nonzero().flatten())


def best_of_batch(
    candidates: BatchDetections, iou: float, max_per_image: int, batch: int
) -> BatchDetections:
    """Hard suppression within each image and label; the best of each image are kept."""
    number = candidates.scores.shape[0]
    # torchvision tells graphs that two boxes or more are kept: two empty ones make it true.
    boxes = F.pad(_moved_apart(candidates, batch), (0, 0, 0, 2))
    scores = F.pad(candidates.scores, (0, 2), value=NO_SCORE)
    kept = nms(boxes, scores, iou)
    kept = kept.index_select(0, scores.index_select(0, kept).argsort(descending=True))
    image = F.pad(candidates.image, (0, 2)).index_select(0, kept)
    # Rank within the image: how many of its own stand in front.
    rank = _is_of(image, batch).long().cumsum(0).gather(1, image[:, None])[:, 0]
    rows = ((rank <= max_per_image) & (kept < number)).nonzero().flatten()
    torch._check(rows.shape[0] <= MOST_ROWS)
    return candidates.select(kept.index_select(0, rows))


def _is_of(image: Tensor, batch: int) -> Tensor:
    """`N B` bool from (N,) numbers of images."""
    return image[:, None] == torch.arange(batch, device=image.device)


def _moved_apart(candidates: BatchDetections, batch: int) -> Tensor:
    """(N, 4) boxes of which those of two images, or of two labels, never overlap.

    Labels move boxes right, as far as `suppression.move_apart` does and with its roundings along
    both axes; images move them down.
    """
    boxes, image = candidates.boxes_xyxy, candidates.image
    largest = torch.where(_is_of(image, batch), boxes.amax(1)[:, None], 0)  # N B
    # With a row of zeros, as nothing has no maximum.
    side = F.pad(largest, (0, 0, 0, 1)).amax(0) + 1  # B
    right = candidates.labels.to(boxes.dtype) * side.index_select(0, image)
    down = image.to(boxes.dtype) * side.amax(0)
    left, top, far, low = (corner + right for corner in boxes.unbind(1))
    return torch.stack([left, top - right + down, far, low - right + down], dim=1)
