"""What the Hybrid Task Cascade (1901.07518) adds: a semantic branch, and mask features that flow.

The branch gives every pixel a class, and the RoI heads features. Interleaving, masks trained on
boxes that the stage has already moved, is a switch of the cascade (`rcnn.py`).

Legend: B batch, H W image, h w map of the fused level, C channels, L semantic labels, R RoIs,
S side of pooled features.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.network.heads import MaskHead
from swinkit.detection.roi_config import SemanticConfig
from swinkit.errors import ConfigError


class SemanticBranch(nn.Module):
    """All pyramid levels resized to one and summed, convolutions, then logits and features.

    Source: HTC (1901.07518, section 3.3), FusedSemanticHead of mmdet. Levels are resized with
    the corners aligned, before their 1x1 convolution.
    """

    def __init__(self, in_channels: int, num_levels: int, config: SemanticConfig) -> None:
        super().__init__()
        self.config = config
        self.laterals = nn.ModuleList(
            nn.Conv2d(in_channels, in_channels, 1) for _ in range(num_levels)
        )
        widths = [in_channels] + [config.channels] * config.num_convs
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.logits = nn.Conv2d(widths[-1], config.num_classes, 1)
        self.embedding = nn.Conv2d(widths[-1], in_channels, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pyramid of `B C . .` maps -> logits `B L h w` and features `B C h w`."""
        level = self.config.level
        size_hw = maps[level].shape[-2:]
        fused = F.relu(self.laterals[level](maps[level]))
        for number, (lateral, features) in enumerate(zip(self.laterals, maps, strict=True)):
            if number != level:
                resized = F.interpolate(features, size_hw, mode="bilinear", align_corners=True)
                fused = fused + F.relu(lateral(resized))
        for conv in self.convs:
            fused = F.relu(conv(fused), inplace=True)
        return self.logits(fused).float(), F.relu(self.embedding(fused))

    def loss(self, logits: Tensor, labels: Tensor, stride: int) -> Tensor:
        """Weighted cross entropy, the mean over all pixels, those to ignore included.

        Args:
            logits: `B L h w`. labels: (B, H, W) int64. stride: image pixels per map pixel.
        """
        labels = labels[:, ::stride, ::stride]
        total = F.cross_entropy(logits, labels, ignore_index=self.config.ignore, reduction="sum")
        return self.config.loss_weight * total / max(labels.numel(), 1)


def fuse(pooled: Tensor, semantic: Tensor) -> Tensor:
    """`R C S S` RoI features plus the semantic ones of the same RoIs, averaged down to S x S."""
    if semantic.shape[-2:] != pooled.shape[-2:]:
        semantic = F.adaptive_avg_pool2d(semantic, (pooled.shape[2], pooled.shape[3]))
    return pooled + semantic


def paint(
    targets: Sequence[InstanceTarget],
    size_hw: tuple[int, int],
    config: SemanticConfig,
    num_classes: int,
    device: torch.device,
) -> Tensor:
    """(B, H, W) semantic labels made from instance masks: 0 elsewhere, class k as k + 1.

    What lies outside an image is ignored, and so is the rectangle of an object without an outline;
    a later object covers an earlier one.

    Raises:
        ConfigError: targets without masks, or fewer semantic labels than classes + 1.
    """
    if config.num_classes <= num_classes:
        raise ConfigError(
            f"{config.num_classes} semantic labels cannot hold {num_classes} classes and the "
            "ground; give semantic maps or set the branch's num_classes higher"
        )
    painted = torch.full((len(targets), *size_hw), config.ignore, device=device)
    for canvas, target in zip(painted, targets, strict=True):
        canvas[: target.size_hw[0], : target.size_hw[1]] = 0
        if target.masks is None:
            raise ConfigError("the semantic branch needs masks or semantic maps to train on")
        values = target.labels + 1
        if target.box_only is not None:
            values = torch.where(target.box_only, config.ignore, values)
        for mask, value in zip(target.masks, values, strict=True):
            rows, columns = min(mask.shape[0], size_hw[0]), min(mask.shape[1], size_hw[1])
            inside = mask[:rows, :columns].bool()
            canvas[:rows, :columns][inside] = value
    return painted


def flow_features(heads: Sequence[MaskHead], pooled: Tensor) -> list[Tensor]:
    """Features of each stage's head on the same pooled `R C S S` RoIs, one after the other.

    Every head adds what the head before it ended with; heads without `flow` stand alone.
    """
    found: list[Tensor] = []
    for head in heads:
        found.append(head.features(pooled, found[-1] if found else None))
    return found
