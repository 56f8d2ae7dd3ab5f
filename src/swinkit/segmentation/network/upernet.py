"""UPerNet's decoder (1807.10221, section 3.2) without pyramid pooling, which necks/ppm.py holds.

maps of stages 1 to 3 and the pooled top -> lateral 1x1 -> top-down sums -> 3x3 each -> all four
at the finest size -> one 3x3 -> logits.

Legend: B batch, C channels, D channels of the decoder, K classes, H W finest map.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from swinkit.segmentation.network.layers import ConvNorm
from swinkit.segmentation.network.fcn import classifier
from swinkit.segmentation.network.resized_conv import conv_of_enlarged, conv_of_resized, resize


class UPerNetHead(nn.Module):
    """A feature pyramid whose levels are joined by one convolution.

    Args:
        in_channels: of the maps below the top, finest first.
        channels: D; the top has D channels too.
        num_classes: K.
        dropout: chance that a channel is dropped before the classifier.
        late_enlarging: join the levels before enlarging them (necks/resized_conv.py): the same
            numbers for half of the work.

    Source: 1807.10221, figure 4; bilinear resizing never aligns corners, as in the Swin paper's
    experiments (SwinTransformer/Swin-Transformer-Semantic-Segmentation).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        *,
        dropout: float = 0.1,
        late_enlarging: bool = True,
    ) -> None:
        super().__init__()
        self.late_enlarging = late_enlarging
        self.laterals = nn.ModuleList(ConvNorm(width, channels) for width in in_channels)
        self.fpn = nn.ModuleList(ConvNorm(channels, channels, 3) for _ in in_channels)
        self.fuse = ConvNorm((len(in_channels) + 1) * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.logits = classifier(channels, num_classes)

    def forward(self, maps: Sequence[Tensor], top: Tensor) -> Tensor:
        """Maps `B C h w`, finest first, and the top `B D h w` -> `B K H W`."""
        return self.logits(self.dropout(self.features(maps, top)))

    def features(self, maps: Sequence[Tensor], top: Tensor) -> Tensor:
        """What the classifier sees, `B D H W`."""
        levels = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        above = top
        for number in reversed(range(len(levels))):
            size_hw = (levels[number].shape[2], levels[number].shape[3])
            levels[number] = above = levels[number] + resize(above, size_hw)
        smoothed = [conv(level) for conv, level in zip(self.fpn, levels, strict=True)]
        join = conv_of_resized if self.late_enlarging else conv_of_enlarged
        return self.fuse.finish(join(self.fuse.conv.weight, smoothed[0], [*smoothed[1:], top]))
