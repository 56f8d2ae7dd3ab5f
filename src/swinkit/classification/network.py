"""Image classification with a Swin backbone, tensors in, tensors out.

Legend: B batch, H W pixels, L tokens of the last map, C its channels, K classes.
"""

from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError


class ClassificationHead(nn.Module):
    """Mean over tokens, then a linear classifier (2103.14030, section 3.1)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, num_classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """`B L C` normed tokens -> `B K` logits."""
        return self.fc(self.pool(tokens))

    @staticmethod
    def pool(tokens: Tensor) -> Tensor:
        """`B L C` -> `B C`."""
        return tokens.mean(1)


class ClassificationNetwork(nn.Module):
    """Backbone, mean pool, linear head (2103.14030, section 3.1).

    Args:
        config: architecture; its last stage should be in `norm_stages`.
        num_classes: K.

    Raises:
        ConfigError: no class at all.
    """

    def __init__(self, config: SwinConfig, num_classes: int) -> None:
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; a classifier needs at least one")
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.backbone = SwinBackbone(config)
        self.head = ClassificationHead(config.channels[-1], num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B K` logits."""
        return self.head(self.backbone.forward_last(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B C` pooled features of the last stage."""
        return self.head.pool(self.backbone.forward_last(image))
