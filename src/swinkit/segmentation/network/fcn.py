"""The auxiliary head (FCN, 1411.4038): convolutions on one map. B batch, C channels, K classes."""

from torch import Tensor, nn

from swinkit.segmentation.network.layers import ConvNorm


class FCNHead(nn.Module):
    """3x3 convolutions, dropout, a 1x1 classifier; it supervises a middle stage in training.

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
