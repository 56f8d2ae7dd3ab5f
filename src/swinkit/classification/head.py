"""The classification head (paper, section 3.1): global average pool of the last map, then linear.

Legend: B batch, L tokens of the last map, C its channels, K classes.
"""

from torch import Tensor, nn


class ClassificationHead(nn.Module):
    """Mean over tokens, then a linear classifier."""

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
