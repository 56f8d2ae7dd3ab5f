"""A U-Net decoder (1505.04597) over a Swin pyramid, down to the image's own resolution.

Skips are the four stages and, below the patch size where the pyramid has no map, a small
convolutional stem that reads the image: one level per halving, the first at full resolution.

Legend: B batch, C channels, K classes, H W image, p patch size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swinkit.segmentation.network.layers import ConvNorm, classifier, resize

SMALLEST_WIDTH = 8


class UNetHead(nn.Module):
    """Upsample, join with the skip, convolve twice; level by level down to full resolution.

    The coarsest decoder level has `channels` channels, each finer one half of them.

    Args:
        image_channels: bands of the image.
        in_channels: of the pyramid's maps, finest first.
        patch_size: p, pixels per token of the finest map, a power of two.
        channels: of the coarsest decoder level.
        num_classes: K.
        dropout: chance that a channel is dropped before the classifier.
    """

    def __init__(
        self,
        image_channels: int,
        in_channels: Sequence[int],
        patch_size: int,
        channels: int,
        num_classes: int,
        *,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        levels = len(in_channels) - 1 + halvings
        widths = [max(channels // 2**level, SMALLEST_WIDTH) for level in range(levels)]
        stem = widths[::-1][:halvings]
        self.stem = nn.ModuleList(
            ConvNorm(before, after, 3, stride=1 if number == 0 else 2)
            for number, (before, after) in enumerate(
                zip([image_channels, *stem], stem, strict=False)
            )
        )
        skips = [*in_channels[-2::-1], *stem[::-1]]
        inputs = [in_channels[-1], *widths[:-1]]
        self.levels = nn.ModuleList(
            UNetLevel(deep, skip, width)
            for deep, skip, width in zip(inputs, skips, widths, strict=True)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.logits = classifier(widths[-1], num_classes)

    def forward(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """`B C H W` and the pyramid, finest first -> `B K H W`."""
        stem: list[Tensor] = []
        for conv in self.stem:
            images = conv(images)
            stem.append(images)
        deep = maps[-1]
        skips = [*maps[-2::-1], *stem[::-1]]
        for level, skip in zip(self.levels, skips, strict=True):
            deep = level(deep, skip)
        return self.logits(self.dropout(deep))


class UNetLevel(nn.Module):
    """relu(norm(conv)) twice on the upsampled map beside the skip."""

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        # Narrowed before it is upsampled: the 1x1 costs a quarter there.
        self.narrow = ConvNorm(in_channels, channels)
        self.join = ConvNorm(channels + skip_channels, channels, 3)
        self.smooth = ConvNorm(channels, channels, 3)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """`B C h w` and `B C' H W` -> `B C'' H W`."""
        upsampled = resize(self.narrow(deep), (skip.shape[2], skip.shape[3]))
        return self.smooth(self.join(torch.cat([upsampled, skip], 1)))
