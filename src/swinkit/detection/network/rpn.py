"""Region proposal network: for every anchor whether it holds an object, and where exactly.

Legend: B batch, C channels, A anchors per place, H W map of a level, L = H * W * A anchors of a
level, N anchors of all levels, k boxes kept of a level.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.boxes.anchors import AnchorGrid, all_levels, map_sizes, per_anchor
from swinkit.detection.boxes.assignment import Sampler, assign
from swinkit.detection.boxes.batch import (
    NO_SCORE,
    BatchDetections,
    best_of,
    best_of_batch,
    sound_rows,
)
from swinkit.detection.boxes.geometry import BoxCoder, clip, clip_to, smooth_l1
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.boxes.suppression import grouped_nms
from swinkit.detection.config import RPNConfig
from swinkit.settings import SizeHW

STRIDES = (4, 8, 16, 32, 64)

RPNOutputs = tuple[list[Tensor], list[Tensor]]


class RPNHead(nn.Module):
    """A 3x3 convolution, then one logit and one box per anchor; shared by all levels.

    The best anchor of an object trains from an overlap of `config.negative` on.

    Args:
        channels: of the pyramid.
        config: anchors, what they train on, overlap of proposals.
        strides: pixels per place of each level.

    Source: 1506.01497; RPNHead of mmdet (weights initialized from a normal of 0.01, biases 0).
    """

    def __init__(self, channels: int, config: RPNConfig, strides: Sequence[int] = STRIDES) -> None:
        super().__init__()
        self.config = config
        self.anchors = AnchorGrid(strides, (config.scale,), config.ratios)
        self.coder = BoxCoder()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, self.anchors.anchors_per_place, 1)
        self.deltas = nn.Conv2d(channels, self.anchors.anchors_per_place * 4, 1)
        init_normal_(self)

    def forward(self, maps: Sequence[Tensor]) -> RPNOutputs:
        """`B C H W` of each level -> logits `B A H W` and deltas `B 4A H W` of each level."""
        features = [F.relu(self.conv(level), inplace=True) for level in maps]
        logits = [self.objectness(level) for level in features]
        return logits, [self.deltas(level) for level in features]

    def losses(
        self, outputs: RPNOutputs, targets: Sequence[InstanceTarget], sampler: Sampler
    ) -> dict[str, Tensor]:
        """ "rpn_objectness" and "rpn_box", over the sampled anchors of all images.

        Both are sums divided by the number of sampled anchors, where an image counts at least one
        object and one background, as in mmdet.
        """
        sizes = map_sizes(outputs[0])
        logits, deltas = all_levels(outputs[0], 1), all_levels(outputs[1], 4)  # B N 1, B N 4
        anchors = torch.cat(self.anchors(sizes, logits.device))
        positives, negatives, wanted = [], [], []
        divisor = torch.finfo(torch.float32).eps
        for image, target in enumerate(targets):
            positive, negative, matched = self._sample(anchors, sizes, target, sampler)
            wanted.append(self.coder.encode(anchors[positive], target.boxes_xyxy[matched]))
            positives.append(positive + image * len(anchors))
            negatives.append(negative + image * len(anchors))
            divisor += max(positive.numel(), 1) + max(negative.numel(), 1)
        # One selection for all images: the gradient is then filled with zeros once.
        positive, negative = torch.cat(positives), torch.cat(negatives)
        scores, own = logits.flatten(), deltas.flatten(0, 1).index_select(0, positive)
        # -log(sigmoid(x)) = softplus(-x), and -log(1 - sigmoid(x)) = softplus(x).
        objectness = F.softplus(-scores.index_select(0, positive)).sum()
        objectness = objectness + F.softplus(scores.index_select(0, negative)).sum()
        box = smooth_l1(own, torch.cat(wanted), self.config.box_beta).sum()
        return {"rpn_objectness": objectness / divisor, "rpn_box": box / divisor}

    @torch.no_grad()
    def _sample(
        self, anchors: Tensor, sizes: list[SizeHW], target: InstanceTarget, sampler: Sampler
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Positive and negative anchors of an image, and the object of each positive."""
        config = self.config
        inside = self.anchors.inside(
            sizes, target.size_hw, border=config.border, device=anchors.device
        )
        rows = inside.nonzero().flatten()
        assigned = assign(
            anchors[rows],
            target.boxes_xyxy,
            positive=config.positive,
            negative=config.negative,
            min_positive=config.negative,
            low_quality=True,
            ignored=target.ignored_xyxy,
        )
        positive, negative = sampler(assigned, config.num_samples, config.positive_fraction)
        return rows[positive], rows[negative], assigned[positive] - 1

    @torch.no_grad()
    def propose(
        self,
        outputs: RPNOutputs,
        sizes_hw: Sequence[SizeHW],
        pre_nms: int,
        max_number: int,
    ) -> list[tuple[Tensor, Tensor]]:
        """Proposals of each image, best first: boxes_xyxy (number, 4) and scores (number,).

        The best `pre_nms` of each level are moved, clipped to the image, left out if nothing
        remains of them, and suppressed level by level; `max_number` of an image are kept.
        """
        boxes, scores = self._best_of_levels(outputs, pre_nms)
        groups = torch.cat(
            [level.new_full((level.shape[1],), n) for n, level in enumerate(scores)]
        ).to(torch.int64)
        all_boxes, all_scores = torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
        found = []
        for own_boxes, own_scores, size_hw in zip(all_boxes, all_scores, sizes_hw, strict=True):
            clipped = clip(own_boxes, size_hw)
            sound = ((clipped[:, 2:] - clipped[:, :2]) > 0).all(1)
            clipped, own_scores = clipped[sound], own_scores[sound]
            kept = grouped_nms(clipped, own_scores, groups[sound], self.config.iou)[:max_number]
            found.append((clipped[kept], own_scores[kept]))
        return found

    def propose_in_batch(
        self, outputs: RPNOutputs, limits: Tensor, pre_nms: int, max_number: int
    ) -> BatchDetections:
        """As `propose`, without a loop over images or a branch on sizes.

        Args:
            limits: `B 4` of `limits_of`.
        """
        boxes, scores, levels = [], [], []
        grids = self.anchors(map_sizes(outputs[0]), outputs[0][0].device)
        for number, (logits, deltas, anchors) in enumerate(zip(*outputs, grids, strict=True)):
            values, rows = best_of(per_anchor(logits, 1)[..., 0], pre_nms)  # B k
            moved = self.coder.decode_rows(anchors, per_anchor(deltas, 4), rows)
            boxes.append(clip_to(moved, limits[:, None]))
            scores.append(torch.where(values > NO_SCORE, values.sigmoid(), NO_SCORE))
            levels.append(torch.full_like(rows, number))
        candidates = sound_rows(boxes, scores, levels)
        return best_of_batch(candidates, self.config.iou, max_number, limits.shape[0])

    def _best_of_levels(
        self, outputs: RPNOutputs, pre_nms: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Boxes `B k 4` and scores `B k` of each level, not yet clipped."""
        boxes, scores = [], []
        grids = self.anchors(map_sizes(outputs[0]), outputs[0][0].device)
        for level_logits, level_deltas, anchors in zip(*outputs, grids, strict=True):
            logits = per_anchor(level_logits, 1)[..., 0]  # B L
            deltas = per_anchor(level_deltas, 4)  # B L 4
            probabilities = logits.sigmoid()
            places = anchors.expand(logits.shape[0], -1, -1)  # B L 4
            if logits.shape[1] > pre_nms:
                # By logit: scores that are rounded to 1 still have an order.
                rows = logits.topk(pre_nms, dim=1).indices
                probabilities = probabilities.gather(1, rows)
                deltas = deltas.gather(1, rows[..., None].expand(-1, -1, 4))  # B k 4
                places = anchors[rows]
            boxes.append(
                self.coder.decode(places.flatten(0, 1), deltas.flatten(0, 1)).view_as(deltas)
            )
            scores.append(probabilities)
        return boxes, scores


def init_normal_(module: nn.Module, std: float = 0.01) -> None:
    """Weights from a normal distribution, biases 0: convolutions of dense heads (1506.01497)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
