"""UPerNet's decoder (1807.10221, section 3.2) and the pyramid pooling before it.

maps of all stages -> pyramid pooling of the last -> lateral 1x1 -> top-down sums -> 3x3 each ->
all at the finest size -> one 3x3 -> logits.

Legend: B batch, C channels, D channels of the decoder, K classes, H W finest map, h w coarse map,
i j taps of a kernel.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.segmentation.network.layers import ConvNorm, classifier, pool_to_grid, resize
from swinkit.settings import SizeHW
from swinkit.windows.layout import is_fixed

# Resizing matrices are dense: their products grow faster than the map. Maps with a longer side are
# upsampled before the convolution.
LONGEST_SIDE = 512


class PyramidPooling(nn.Module):
    """Context of whole regions for each place (PSPNet, 1612.01105, section 3.2).

    Means over a 1x1, 2x2, 3x3, 6x6 grid, each through a 1x1 convolution, beside the map itself; a
    3x3 convolution joins them.

    Args:
        in_channels, channels: C and D.
        scales: cells along each axis of the grids.

    Source: 1612.01105, figure 3; UPerNet (1807.10221) hangs it on the last stage.
    """

    def __init__(self, in_channels: int, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.branches = nn.ModuleList(ConvNorm(in_channels, channels) for _ in self.scales)
        self.bottleneck = ConvNorm(in_channels + len(self.scales) * channels, channels, 3)

    def forward(self, maps: Tensor) -> Tensor:
        """`B C H W` -> `B D H W`."""
        size_hw = (maps.shape[2], maps.shape[3])
        context = [resize(pooled, size_hw) for pooled in self.pooled(maps)]
        return self.bottleneck(torch.cat([maps, *context], 1))

    def pooled(self, maps: Tensor) -> list[Tensor]:
        """The branches before they are upsampled: `B D s s` for each scale s."""
        return [
            branch(pool_to_grid(maps, scale))
            for scale, branch in zip(self.scales, self.branches, strict=True)
        ]


class UPerNetHead(nn.Module):
    """A feature pyramid whose levels are joined by one convolution.

    Args:
        in_channels: of the maps below the top, finest first.
        channels: D; the top has D channels too.
        num_classes: K.
        dropout: chance that a channel is dropped before the classifier.

    Source: 1807.10221, figure 4; bilinear resizing never aligns corners, as in the Swin paper's
    experiments (SwinTransformer/Swin-Transformer-Semantic-Segmentation). The figure upsamples the
    levels and then joins them; here they are joined first (`conv_of_resized`).
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, num_classes: int, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvNorm(width, channels) for width in in_channels)
        self.fpn = nn.ModuleList(ConvNorm(channels, channels, 3) for _ in in_channels)
        self.fuse = ConvNorm((len(in_channels) + 1) * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.logits = classifier(channels, num_classes)

    def forward(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Maps `B C h w`, finest first, the last one pooled `B D h w` -> `B K H W`.

        The images are not looked at; every decoder is given them.
        """
        return self.logits(self.dropout(self.features(maps)))

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """What the classifier sees, `B D H W`."""
        *below, top = maps
        levels = [lateral(level) for lateral, level in zip(self.laterals, below, strict=True)]
        above = top
        for number in reversed(range(len(levels))):
            size_hw = (levels[number].shape[2], levels[number].shape[3])
            levels[number] = above = levels[number] + resize(above, size_hw)
        smoothed = [conv(level) for conv, level in zip(self.fpn, levels, strict=True)]
        weight = self.fuse.conv.weight
        return self.fuse.finish(conv_of_resized(weight, smoothed[0], [*smoothed[1:], top]))


def conv_of_resized(weight: Tensor, finest: Tensor, coarser: Sequence[Tensor]) -> Tensor:
    """`conv2d(cat([finest, *upsampled coarser]), weight, padding=1)` without upsampling.

    Upsampling three maps to the finest, concatenating the four and convolving is nearly two thirds
    of UPerNet's work. Both steps are linear. A tap of the kernel is a 1x1 convolution followed by a
    shift, and a 1x1 convolution commutes with bilinear resizing, so

        conv3x3(resize(x)) = sum over taps (i, j) of shift_ij(resize(W_ij x))
                           = sum over i, j of R_i (W_ij x) C_j^T

    with R_i (H x h) and C_j (W x w) the resizing matrices along an axis, shifted by a tap. The 1x1
    convolutions run on the coarse map, a quarter, a sixteenth and a sixty-fourth of the places, and
    the two products with R and C replace upsampling. No upsampled or concatenated map exists.

    Args:
        weight: (D, sum of C, 3, 3).
        finest: `B C H W`.
        coarser: maps `B C h w` that bilinear resizing (corners not aligned) brings to H x W.

    Returns:
        `B D H W`.
    """
    size_hw = (finest.shape[2], finest.shape[3])
    if not is_fixed(*size_hw) or max(size_hw) > LONGEST_SIDE:
        return conv_of_upsampled(weight, finest, coarser)
    parts = weight.split([finest.shape[1], *(maps.shape[1] for maps in coarser)], dim=1)
    result = F.conv2d(finest, parts[0], padding=1)
    result = result.permute(0, 2, 3, 1).flatten(0, 1)  # BH W D
    for kernel, maps in zip(parts[1:], coarser, strict=True):
        rows = _along_rows(kernel, maps, size_hw[0])  # BH 3w D
        columns = shifted_resizing(maps.shape[3], size_hw[1], rows)  # 3 W w
        columns = columns.permute(1, 2, 0).flatten(1)  # W 3w
        columns = columns.expand(rows.shape[0], -1, -1)
        result = torch.baddbmm(result, columns, rows)
    return result.unflatten(0, (-1, size_hw[0])).permute(0, 3, 1, 2)


def conv_of_upsampled(weight: Tensor, finest: Tensor, coarser: Sequence[Tensor]) -> Tensor:
    """The same as the paper's figure draws it: upsample, concatenate, convolve."""
    size_hw: SizeHW = (finest.shape[2], finest.shape[3])
    maps = [finest, *(resize(coarse, size_hw) for coarse in coarser)]
    return F.conv2d(torch.cat(maps, 1), weight, padding=1)


def shifted_resizing(source: int, target: int, like: Tensor) -> Tensor:
    """(3, target, source): what rows y-1, y, y+1 of a resized axis take from the source.

    Rows outside the resized axis are zero, as the convolution's padding is.
    """
    exact = torch.promote_types(like.dtype, torch.float32)
    identity = torch.eye(source, dtype=exact, device=like.device)
    matrix = F.interpolate(identity[None], size=target, mode="linear", align_corners=False)[0].T
    padded = F.pad(matrix, (0, 0, 1, 1))  # target + 2, source
    return torch.stack([padded[tap : tap + target] for tap in range(3)]).to(like.dtype)


def _along_rows(kernel: Tensor, maps: Tensor, height: int) -> Tensor:
    """Sum over i of R_i (W_ij x) for each j: `BH 3w D`, the last axis but one as (w, j)."""
    batch, _, rows, columns = maps.shape
    taps = kernel.permute(2, 1, 3, 0).flatten(2)  # i C jD
    places = maps.permute(0, 2, 3, 1).flatten(1, 2)  # B hw C
    products = places[:, None] @ taps  # B i hw jD
    products = products.view(batch, 3 * rows, -1)  # B ih wjD
    matrix = shifted_resizing(rows, height, products)  # i H h
    matrix = matrix.transpose(0, 1).flatten(1)  # H ih
    resized = matrix @ products  # B H wjD
    return resized.view(batch * height, 3 * columns, -1)
