"""Region proposal network: for every anchor whether it holds an object, and where exactly.

Legend: B batch, C channels, A anchors per place, H W map of a level, L = H * W * A anchors of a
level, N anchors of all levels, k boxes kept of a level.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.boxes.anchors import AnchorGrid
from swinkit.detection.boxes.assignment import Sampler, assign
from swinkit.detection.boxes.geometry import BoxCoder, clip, smooth_l1
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.boxes.suppression import grouped_nms
from swinkit.detection.network.dense import all_levels, map_sizes, normal_, per_anchor
from swinkit.settings import SizeHW

STRIDES = (4, 8, 16, 32, 64)

RPNOutputs = tuple[list[Tensor], list[Tensor]]


class RPNHead(nn.Module):
    """A 3x3 convolution, then one logit and one box per anchor; shared by all levels.

    Args:
        channels: of the pyramid. feature_channels: between the convolutions.
        anchors: None: scale 8 and ratios 0.5, 1, 2 on strides 4 to 64.
        positive, negative: IoU from which an anchor trains as object, and below which as
            background; the best anchor of an object trains from `negative` on.
        num_samples, positive_fraction: anchors that an image trains on.
        border: anchors that leave the image by more pixels do not train; -1 lets all train.
        box_beta: of the smooth L1 loss of boxes; 0 for plain L1.

    Source: 1506.01497; RPNHead of mmdet (weights initialised from a normal of 0.01, biases 0).
    """

    def __init__(
        self,
        channels: int,
        feature_channels: int,
        anchors: AnchorGrid | None = None,
        *,
        positive: float = 0.7,
        negative: float = 0.3,
        num_samples: int = 256,
        positive_fraction: float = 0.5,
        border: float = -1,
        box_beta: float = 0.0,
    ) -> None:
        super().__init__()
        self.anchors = anchors or AnchorGrid(STRIDES)
        self.positive, self.negative = positive, negative
        self.num_samples, self.positive_fraction = num_samples, positive_fraction
        self.border, self.box_beta = border, box_beta
        self.coder = BoxCoder()
        self.conv = nn.Conv2d(channels, feature_channels, 3, padding=1)
        self.objectness = nn.Conv2d(feature_channels, self.anchors.anchors_per_place, 1)
        self.deltas = nn.Conv2d(feature_channels, self.anchors.anchors_per_place * 4, 1)
        normal_(self)

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
        box = smooth_l1(own, torch.cat(wanted), self.box_beta).sum()
        return {"rpn_objectness": objectness / divisor, "rpn_box": box / divisor}

    @torch.no_grad()
    def _sample(
        self, anchors: Tensor, sizes: list[SizeHW], target: InstanceTarget, sampler: Sampler
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Positive and negative anchors of an image, and the object of each positive."""
        inside = self.anchors.inside(
            sizes, target.size_hw, border=self.border, device=anchors.device
        )
        rows = inside.nonzero().flatten()
        assigned = assign(
            anchors[rows],
            target.boxes_xyxy,
            positive=self.positive,
            negative=self.negative,
            min_positive=self.negative,
            low_quality=True,
            ignored=target.ignored_xyxy,
        )
        positive, negative = sampler(assigned, self.num_samples, self.positive_fraction)
        return rows[positive], rows[negative], assigned[positive] - 1

    @torch.no_grad()
    def propose(
        self,
        outputs: RPNOutputs,
        sizes_hw: Sequence[SizeHW],
        pre_nms: int = 1000,
        max_number: int = 1000,
        iou: float = 0.7,
        min_size: float = 0.0,
    ) -> list[tuple[Tensor, Tensor]]:
        """Proposals of each image, best first: boxes_xyxy (number, 4) and scores (number,).

        The best `pre_nms` of each level are moved, clipped to the image, left out if a side is not
        longer than `min_size`, and suppressed level by level; `max_number` of an image remain.
        """
        boxes, scores = self._best_of_levels(outputs, pre_nms)
        groups = torch.cat(
            [level.new_full((level.shape[1],), n) for n, level in enumerate(scores)]
        ).to(torch.int64)
        all_boxes, all_scores = torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
        found = []
        for own_boxes, own_scores, size_hw in zip(all_boxes, all_scores, sizes_hw, strict=True):
            clipped = clip(own_boxes, size_hw)
            sound = ((clipped[:, 2:] - clipped[:, :2]) > min_size).all(1)
            clipped, own_scores = clipped[sound], own_scores[sound]
            kept = grouped_nms(clipped, own_scores, groups[sound], iou)[:max_number]
            found.append((clipped[kept], own_scores[kept]))
        return found

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
