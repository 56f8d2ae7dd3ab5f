"""The box head: what is in a region, and where exactly (Fast R-CNN, 1504.08083).

Legend: R RoIs, C channels of the pyramid, S side of the pooled features, K classes.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.errors import ConfigError
from swinkit.heads.roi_config import BoxHeadConfig, Norm

GROUPS = 32


class SyncBatchNorm(nn.SyncBatchNorm):
    """Batch norm over the RoIs of all processes on GPUs; of each process alone on a CPU, where
    PyTorch cannot gather statistics and would refuse to train."""

    def forward(self, features: Tensor) -> Tensor:
        if features.device.type == "cpu":
            return nn.BatchNorm2d.forward(self, features)
        return super().forward(features)


def make_norm(norm: Norm, channels: int) -> nn.Module | None:
    """The named normalisation of `R channels S S` features; None for "none".

    Raises:
        ConfigError: channels that group norm cannot share out evenly.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "sync_batch":
        return SyncBatchNorm(channels)
    if norm == "group":
        groups = min(GROUPS, channels)
        if channels % groups:
            raise ConfigError(f"group norm needs channels in {groups} equal groups, not {channels}")
        return nn.GroupNorm(groups, channels)
    return None


class BoxConv(nn.Module):
    """3x3 convolution, norm, ReLU; the bias is the norm's where there is one.

    In evaluation without gradients a batch norm, then a fixed scale and shift per channel, is
    folded into the convolution, which saves two passes over the features of all RoIs.
    """

    def __init__(self, in_channels: int, channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=norm == "none")
        self.norm = make_norm(norm, channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, features: Tensor) -> Tensor:
        """`R C S S` -> `R channels S S`."""
        norm = self.norm
        if isinstance(norm, (nn.BatchNorm2d, nn.SyncBatchNorm)) and self._can_fold(features):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            weight = self.conv.weight * scale[:, None, None, None]
            return F.conv2d(
                features, weight, norm.bias - norm.running_mean * scale, padding=1
            ).relu_()
        features = self.conv(features)
        return F.relu(features if norm is None else norm(features), inplace=True)

    def _can_fold(self, features: Tensor) -> bool:
        return (
            not self.training
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and features.dtype == self.conv.weight.dtype
            and not torch.is_autocast_enabled(features.device.type)
        )


class BoxHead(nn.Module):
    """Convolutions, linear layers, then logits of K classes and background, and box deltas.

    Background is the last logit. Class-specific deltas stand class by class, four each.
    Source: Shared2FCBBoxHead and Shared4Conv1FCBBoxHead of mmdet (SyncBatchNorm as published; on
    one process it is the same as batch norm).
    """

    def __init__(self, in_channels: int, num_classes: int, config: BoxHeadConfig) -> None:
        super().__init__()
        widths = [in_channels] + [config.conv_channels] * config.num_convs
        self.convs = nn.ModuleList(
            BoxConv(before, after, config.norm) for before, after in itertools.pairwise(widths)
        )
        flat = widths[-1] * config.roi_size**2
        widths = [flat] + [config.fc_channels] * config.num_fcs
        self.fcs = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        boxes = 1 if config.class_agnostic else num_classes
        self.scores = nn.Linear(widths[-1], num_classes + 1)
        self.deltas = nn.Linear(widths[-1], 4 * boxes)
        for layer in self.fcs:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for output, std in ((self.scores, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(output.weight, std=std)
            nn.init.zeros_(output.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`R C S S` -> logits (R, K + 1) and deltas (R, 4 or 4 K), both float32."""
        for conv in self.convs:
            features = conv(features)
        flat = features.flatten(1)  # R C*S*S
        for layer in self.fcs:
            flat = F.relu(layer(flat))
        return self.scores(flat).float(), self.deltas(flat).float()
