"""The Swin Transformer block (paper, figure 3b), on tokens that already stand in window order.

V1 is pre-norm:        x = x + W-MSA(norm1(x));  x = x + MLP(norm2(x))      (2103.14030, eq. 3)
V2 is res-post-norm:   x = x + norm1(W-MSA(x));  x = x + norm2(MLP(x))      (2111.09883, fig. 1)

Legend: B batch, C channels, T tokens per window, nW windows, P = nW * T slots.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from swinkit.settings import SizeHW
from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels.choice import Kernel
from swinkit.windows.kernels.learning_mlp import mlp_and_learn
from swinkit.windows.kernels.products import cut, is_plain
from swinkit.windows.linear import linear

# Floats of the residual stream that one piece of work may hold: its largest intermediate, the
# MLP's hidden layer, is then four times this and stays in a processor's cache.
PIECE_FLOATS = 3136 * 96


@dataclass(frozen=True, eq=False)
class BlockGeometry:
    """What a block must know of the map: how many windows, which tokens are padding, the mask.

    Attributes:
        padding: (P,) bool or None when the map needs none.
        mask: (nS, T, T) for the last nS windows, or None without a shift.
    """

    num_windows: int
    padding: Tensor | None
    mask: Tensor | None

    def part(self, first: int, last: int) -> "BlockGeometry":
        """The geometry of windows first...last-1 alone."""
        padding = mask = None
        if self.padding is not None:
            tokens = self.padding.numel() // self.num_windows
            padding = self.padding[first * tokens : last * tokens]
        if self.mask is not None:
            before_seam = self.num_windows - self.mask.shape[0]
            mask = self.mask[max(first - before_seam, 0) : max(last - before_seam, 0)]
            mask = mask if mask.shape[0] else None
        return BlockGeometry(last - first, padding, mask)


class MLP(nn.Module):
    """Linear, GELU, Linear."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        if self._learns_in_pieces(tokens):
            return mlp_and_learn(
                tokens, (self.fc1.weight, self.fc1.bias), (self.fc2.weight, self.fc2.bias)
            )
        hidden = self.dropout(linear(self.fc1, tokens, "gelu"))
        return self.dropout(linear(self.fc2, hidden))

    def _learns_in_pieces(self, tokens: Tensor) -> bool:
        return (
            torch.is_grad_enabled()
            and not (self.training and self.dropout.p > 0)
            and is_plain(self.fc1, tokens)
            and is_plain(self.fc2, tokens)
        )


class SwinBlock(nn.Module):
    """W-MSA (or, fed shifted windows and a mask, SW-MSA) and an MLP, each with a residual.

    Padding tokens are set to zero where attention reads them, after norm1 in V1, and act there as
    ordinary keys; what the residual stream holds in their place is never read.
    Source: SwinTransformerBlock in the official repositories.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_hw: SizeHW,
        *,
        version: Literal[1, 2],
        mlp_ratio: float,
        qkv_bias: bool,
        pretrained_window_hw: SizeHW,
        drop_path_rate: float,
        dropout: float,
        attention_dropout: float,
        kernel: Kernel,
    ) -> None:
        super().__init__()
        self.version = version
        self.drop_path_rate = drop_path_rate
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(
            channels,
            num_heads,
            window_hw,
            version=version,
            qkv_bias=qkv_bias,
            pretrained_window_hw=pretrained_window_hw,
            dropout=dropout,
            attention_dropout=attention_dropout,
            kernel=kernel,
        )
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, int(channels * mlp_ratio), dropout)

    def forward(self, tokens: Tensor, geometry: BlockGeometry) -> Tensor:
        """`B P C` -> `B P C`; the argument stays as it was."""
        tokens = self._add(tokens, self.attention_branch(tokens, geometry))
        return self._add(tokens, self.mlp_branch(tokens))

    def update_(self, tokens: Tensor, geometry: BlockGeometry) -> None:
        """`forward` written into `tokens`, for inference on a CPU.

        Windows do not see each other, so the work is cut into pieces of whole images or runs of
        windows whose intermediates stay in the cache: no large buffer is ever allocated.
        """
        size = tokens.shape[1] // geometry.num_windows
        per_piece = PIECE_FLOATS // (size * tokens.shape[2])
        for rows, first, last in cut(tokens.shape[0], geometry.num_windows, per_piece):
            piece = tokens[rows, first * size : last * size]
            piece += self.attention_branch(piece, geometry.part(first, last))
            piece += self.mlp_branch(piece)

    def attention_branch(self, tokens: Tensor, geometry: BlockGeometry) -> Tensor:
        """What the first residual adds, `B P C`."""
        attended = self.windows_for_attention(tokens, geometry)
        attended = self.attention(attended, geometry.mask).flatten(1, 2)
        return attended if self.version == 1 else self.norm1(attended)

    def windows_for_attention(self, tokens: Tensor, geometry: BlockGeometry) -> Tensor:
        """What attention reads: `B nW T C`, normed in V1, with padding at zero."""
        windows = self.norm1(tokens) if self.version == 1 else tokens
        if geometry.padding is not None:
            windows = windows.masked_fill(geometry.padding[:, None], 0.0)
        return windows.unflatten(1, (geometry.num_windows, -1))

    def mlp_branch(self, tokens: Tensor) -> Tensor:
        """What the second residual adds, `B P C`."""
        if self.version == 1:
            return self.mlp(self.norm2(tokens))
        return self.norm2(self.mlp(tokens))

    def _add(self, tokens: Tensor, branch: Tensor) -> Tensor:
        """The residual sum. Stochastic depth drops the branch of an image with the given rate and
        scales up the rest."""
        if not self.training or self.drop_path_rate == 0.0:
            return tokens + branch
        kept = 1.0 - self.drop_path_rate
        mask = branch.new_empty(branch.shape[0], 1, 1).bernoulli_(kept)
        return torch.addcmul(tokens, branch, mask.div_(kept))
