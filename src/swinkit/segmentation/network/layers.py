"""Convolution, batch norm, ReLU: the brick of the dense decoders. B batch, C channels, H W map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """relu(norm(conv(x))) with a square odd kernel; the convolution has no bias.

    While gradients are off in evaluation the norm, then a fixed scale and shift per channel, is
    folded into the convolution, which saves two passes over the map.

    Args:
        in_channels, out_channels: C before and after.
        kernel: side; the map keeps its size at stride 1.
        stride: of the convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, maps: Tensor) -> Tensor:
        """`B C H W` -> `B C' H' W'`."""
        if self.can_fold(maps):
            scale, shift = self.scale_and_shift()
            weight = self.conv.weight * scale[:, None, None, None]
            conv = self.conv
            return F.conv2d(maps, weight, shift, conv.stride, conv.padding).relu_()
        return self.finish(self.conv(maps))

    def finish(self, product: Tensor) -> Tensor:
        """Norm and ReLU of what the convolution gave, wherever it was computed."""
        return F.relu(self.norm(product), inplace=True)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """The norm in evaluation as x * scale + shift, two (C',) tensors."""
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return scale, norm.bias - norm.running_mean * scale

    def can_fold(self, maps: Tensor) -> bool:
        """Whether the norm is constant now and no hook or lower precision asks for its steps."""
        return (
            not self.training
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and maps.dtype == self.conv.weight.dtype
            and not torch.is_autocast_enabled(maps.device.type)
            and not (self.conv._forward_hooks or self.norm._forward_hooks)
        )
