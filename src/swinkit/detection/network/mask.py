"""The mask head: the shape of the object in a region (Mask R-CNN, 1703.06870).

Legend: R RoIs, C channels, S side of the pooled features, K classes.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.roi_config import MaskHeadConfig


class MaskHead(nn.Module):
    """Four 3x3 convolutions, a 2x2 deconvolution, and one logit per class and pixel.

    With `flow`, the features that the head of the stage before ended with are added to its
    input after a 1x1 convolution (HTC, 1901.07518, section 3.2).
    Source: FCNMaskHead and HTCMaskHead of mmdet.
    """

    def __init__(
        self, in_channels: int, num_classes: int, config: MaskHeadConfig, *, flow: bool = False
    ) -> None:
        super().__init__()
        widths = [in_channels] + [config.channels] * config.num_convs
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.upsample = nn.ConvTranspose2d(widths[-1], config.channels, 2, stride=2)
        self.logits = nn.Conv2d(config.channels, num_classes, 1)
        self.flow = nn.Conv2d(widths[-1], in_channels, 1) if flow else None
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, pooled: Tensor, before: Tensor | None = None) -> Tensor:
        """`R C S S` pooled, and the features of the stage before -> this stage's features."""
        if before is not None and self.flow is not None:
            pooled = pooled + F.relu(self.flow(before))
        for conv in self.convs:
            pooled = F.relu(conv(pooled), inplace=True)
        return pooled

    def all_logits(self, features: Tensor) -> Tensor:
        """`R C S S` features -> `R K 2S 2S` logits, float32."""
        return self.logits(F.relu(self.upsample(features), inplace=True)).float()

    def label_logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """`R C S S` features and (R,) labels -> (R, 2S, 2S) logits of those labels, float32."""
        upsampled = F.relu(self.upsample(features), inplace=True)  # R C 2S 2S
        weight = self.logits.weight[labels, :, 0, 0]  # R C
        picked = torch.einsum("rc,rchw->rhw", weight.to(upsampled.dtype), upsampled)
        assert self.logits.bias is not None
        return picked.float() + self.logits.bias[labels].float()[:, None, None]

    def forward(self, pooled: Tensor, before: Tensor | None = None) -> Tensor:
        """`R C S S` -> `R K 2S 2S` logits, float32."""
        return self.all_logits(self.features(pooled, before))
