"""Layers that the dense decoders share. B batch, C channels, K classes, H W map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.settings import SizeHW
from swinkit.windows.layout import ceil_div, is_fixed


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


class FCNHead(nn.Module):
    """The auxiliary head (FCN, 1411.4038): 3x3 convolutions, dropout, a 1x1 classifier.

    It supervises a middle stage in training.

    Args:
        in_channels: of the map.
        channels: of the convolutions.
        num_classes: K.
        num_convs: how many convolutions.
        dropout: chance that a channel is dropped before the classifier.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_classes: int,
        *,
        num_convs: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            ConvNorm(in_channels if number == 0 else channels, channels, 3)
            for number in range(num_convs)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.logits = classifier(channels, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        """`B C H W` -> `B K H W`."""
        for conv in self.convs:
            maps = conv(maps)
        return self.logits(self.dropout(maps))


def classifier(channels: int, num_classes: int) -> nn.Conv2d:
    """A 1x1 convolution to logits, small at the start so that no class is preferred."""
    layer = nn.Conv2d(channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def resize(maps: Tensor, size_hw: SizeHW) -> Tensor:
    """`B C h w` -> `B C H W`, bilinear, corners not aligned; the same tensor if nothing changes."""
    own_hw = (maps.shape[2], maps.shape[3])
    if is_fixed(*own_hw, *size_hw) and own_hw == size_hw:
        return maps
    return F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=False)


def pool_to_grid(maps: Tensor, cells: int) -> Tensor:
    """`B C H W` -> `B C s s`: the mean of each cell of a grid of s x s cells, which may overlap.

    Where the size is free, as two products with matrices of means along an axis.
    """
    height, width = maps.shape[2:]
    if is_fixed(height, width):
        return F.adaptive_avg_pool2d(maps, cells)
    rows, columns = (_means(length, cells, maps) for length in (height, width))  # s H, s W
    return rows @ maps @ columns.T


def _means(length: int, cells: int, like: Tensor) -> Tensor:
    """(cells, length): which places each cell averages, with their weight."""
    place = torch.arange(length, device=like.device)
    edges = [
        (cell * length // cells, ceil_div((cell + 1) * length, cells)) for cell in range(cells)
    ]
    inside = torch.stack([(place >= first) & (place < last) for first, last in edges])
    weights = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True)
