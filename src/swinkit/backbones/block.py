"""The Swin Transformer block (paper, figure 3b), on tokens that already stand in window order.

V1 is pre-norm:        x = x + W-MSA(norm1(x));  x = x + MLP(norm2(x))      (2103.14030, eq. 3)
V2 is res-post-norm:   x = x + norm1(W-MSA(x));  x = x + norm2(MLP(x))      (2111.09883, fig. 1)

Legend: B batch, C channels, T tokens per window, nW windows, P = nW * T slots.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels.block import fast_block
from swinkit.windows.shift_mask import WindowGeometry


class SwinBlock(nn.Module):
    """W-MSA (or, fed shifted windows and a mask, SW-MSA) and an MLP, each with a residual.

    Padding tokens are set to zero where attention reads them, after norm1 in V1, and act there as
    ordinary keys; what the residual stream holds in their place is never read.
    Source: SwinTransformerBlock in the official repositories.

    Args:
        attention: among the C channels of each window.
        mlp_ratio: hidden channels of the MLP over C.
        drop_path_rate: stochastic depth of each branch.
        dropout: rate inside the MLP.
    """

    def __init__(
        self, attention: WindowAttention, *, mlp_ratio: float, drop_path_rate: float, dropout: float
    ) -> None:
        super().__init__()
        channels = attention.projection.in_features
        self.version = attention.version
        self.drop_path_rate = drop_path_rate
        self.norm1 = nn.LayerNorm(channels)
        self.attention = attention
        self.norm2 = nn.LayerNorm(channels)
        hidden = int(channels * mlp_ratio)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(channels, hidden),
                gelu=nn.GELU(),
                dropout1=nn.Dropout(dropout),
                fc2=nn.Linear(hidden, channels),
                dropout2=nn.Dropout(dropout),
            )
        )

    def forward(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        """`B P C` -> `B P C`; the argument stays as it was."""
        fast = fast_block(self, tokens, geometry)  # the same numbers, where there is a faster way
        if fast is not None:
            return fast
        tokens = self.add(tokens, self.attention_branch(tokens, geometry))
        return self.add(tokens, self.mlp_branch(tokens))

    def attention_branch(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        """What the first residual adds, `B P C`."""
        windows = self.windows(tokens, geometry)  # B nW T C
        attended = self.attention(windows, geometry.mask).flatten(1, 2)  # B P C
        return attended if self.version == 1 else self.norm1(attended)

    def windows(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        """What attention reads: `B P C` -> `B nW T C`, normed in V1, with padding at zero."""
        return geometry.windows_of(self.norm1(tokens) if self.version == 1 else tokens)

    def mlp_branch(self, tokens: Tensor) -> Tensor:
        """What the second residual adds, `B P C`."""
        if self.version == 1:
            return self.mlp(self.norm2(tokens))
        return self.norm2(self.mlp(tokens))

    def add(self, tokens: Tensor, branch: Tensor) -> Tensor:
        """The residual sum, with stochastic depth in training.

        It drops the branch of an image with the given rate and scales up the rest (1603.09382).
        """
        if not self.training or self.drop_path_rate == 0.0:
            return tokens + branch
        kept = 1.0 - self.drop_path_rate
        mask = branch.new_empty(branch.shape[0], 1, 1).bernoulli_(kept)
        return torch.addcmul(tokens, branch, mask.div_(kept))

    def forward_seen(
        self, tokens: Tensor, geometry: WindowGeometry
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, with attention's scores before the mask and its weights after softmax
        (`B nW N T T`), which are part of the graph."""
        windows = self.windows(tokens, geometry)  # B nW T C
        attended, scores, weights = self.attention.forward_seen(windows, geometry.mask)
        branch = attended.flatten(1, 2)  # B P C
        tokens = self.add(tokens, branch if self.version == 1 else self.norm1(branch))
        return self.add(tokens, self.mlp_branch(tokens)), scores, weights
