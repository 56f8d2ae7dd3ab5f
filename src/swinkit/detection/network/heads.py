"""The heads of a region: what is in it, and where (Fast R-CNN, 1504.08083); its mask (1703.06870).

Legend: R RoIs, C channels of the pyramid, S side of the pooled features, K classes.
"""

import itertools
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, Norm
from swinkit.errors import ConfigError

GROUPS = 32


class SumOfProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the RoIs of all processes, on GPUs and CPUs alike.

    PyTorch's own refuses CPUs, and would not let a model that has it train there at all.
    """

    def forward(self, features: Tensor) -> Tensor:
        together = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if not self.training or not together:
            return super().forward(features)
        values = features.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = SumOfProcesses.apply(torch.cat([values.sum((0, 2, 3)), count]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centered = values - mean[:, None, None]
        variance = SumOfProcesses.apply(centered.square().sum((0, 2, 3))) / count
        self._keep(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centered * scale[:, None, None] + self.bias[:, None, None]).to(features.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as `nn.BatchNorm2d` does with its default momentum."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def make_norm(norm: Norm, channels: int) -> nn.Module | None:
    """The named normalization of `R channels S S` features; None for "none".

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
        if isinstance(norm, nn.BatchNorm2d) and self._can_fold(features):
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
            and (torch.compiler.is_exporting() or not torch.compiler.is_compiling())
            and features.dtype == self.conv.weight.dtype
            and not torch.is_autocast_enabled(features.device.type)
        )


class BoxHead(nn.Module):
    """Convolutions, linear layers, then logits of K classes and background, and box deltas.

    Background is the last logit. Class-specific deltas stand class by class, four each.
    Source: Shared2FCBBoxHead and Shared4Conv1FCBBoxHead of mmdet (published with SyncBatchNorm).
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
