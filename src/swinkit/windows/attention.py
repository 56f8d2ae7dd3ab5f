"""W-MSA and SW-MSA: multi-head self-attention inside (shifted) windows, V1 and V2.

V1 (2103.14030, equation 4): softmax(q k^T / sqrt(d) + B) v.
V2 (2111.09883, equation 2): softmax(cos(q, k) * exp(scale) + B) v, scale clamped at ln 100.

Legend: B batch, C channels, N heads, d = C / N, T tokens per window, nW windows, nS windows on the
seam of a cyclic shift (they stand last and alone carry a mask).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.settings import SizeHW
from swinkit.windows.kernels.choice import Kernel
from swinkit.windows.kernels.learning_attention import attend_and_learn
from swinkit.windows.kernels.piece import AttentionPiece
from swinkit.windows.kernels.products import is_plain
from swinkit.windows.linear import linear
from swinkit.windows.position_bias import PositionBiasMLP, PositionBiasTable

MAX_LOGIT_SCALE = math.log(100.0)


class WindowAttention(nn.Module):
    """Attention among the T tokens of each window, with relative position bias.

    Args:
        channels: C.
        num_heads: N.
        window_hw: (Mh, Mw), T = Mh * Mw.
        version: 1 scaled dot product, 2 cosine.
        qkv_bias: bias on query, key and value (V2: on query and value, the key has none).
        pretrained_window_hw: V2, window of the bias MLP's training; (0, 0) for this one.
        dropout: rate after the projection. attention_dropout: rate on the weights.
        kernel: see windows/kernels/choice.py.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_hw: SizeHW,
        *,
        version: Literal[1, 2] = 1,
        qkv_bias: bool = True,
        pretrained_window_hw: SizeHW = (0, 0),
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        kernel: Kernel = "auto",
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.version = version
        self.kernel = kernel
        self.attention_dropout = attention_dropout
        self.position_bias: PositionBiasTable | PositionBiasMLP
        if version == 1:
            self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
            self.position_bias = PositionBiasTable(window_hw, num_heads)
        else:
            self.qkv = nn.Linear(channels, 3 * channels, bias=False)
            self.q_bias = nn.Parameter(torch.zeros(channels)) if qkv_bias else None
            self.v_bias = nn.Parameter(torch.zeros(channels)) if qkv_bias else None
            self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10.0)))
            self.position_bias = PositionBiasMLP(window_hw, num_heads, pretrained_window_hw)
        self.projection = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """`B nW T C` -> `B nW T C`; `mask` (nS, T, T) applies to the last nS windows."""
        bias, scale = self.position_bias.current(windows.dtype), self.scale()
        dropout = self.attention_dropout if self.training else 0.0
        if self.kernel == "auto" and dropout == 0.0 and is_plain(self.qkv, windows):
            return self._on_cpu(windows, bias, mask, scale)
        core = _attend_reference if self.kernel == "reference" else _attend_sdpa
        attended = core(*self.query_key_value(windows), bias, mask, scale, dropout)
        attended = attended.transpose(2, 3).flatten(3)  # B nW T C
        return self.dropout(linear(self.projection, attended))

    def _on_cpu(
        self, windows: Tensor, bias: Tensor, mask: Tensor | None, scale: float | Tensor
    ) -> Tensor:
        """Float32 on a CPU, without dropout of weights."""
        if torch.is_grad_enabled() and is_plain(self.projection, windows):
            qkv = (self.qkv.weight, self._qkv_bias())
            projection = (self.projection.weight, self.projection.bias)
            heads = self.num_heads
            out = attend_and_learn(windows, qkv, projection, bias, mask, scale, heads)
        else:
            piece = AttentionPiece(self._qkv(windows), bias, mask, scale, self.num_heads)
            out = linear(self.projection, piece.attended())
        return self.dropout(out)

    def _qkv_bias(self) -> Tensor | None:
        """(3C,) or None."""
        if self.version == 1 or self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))

    def _qkv(self, windows: Tensor) -> Tensor:
        """`B nW T 3C`."""
        if self.version == 1 or self.q_bias is None:
            return linear(self.qkv, windows)
        return F.linear(windows, self.qkv.weight, self._qkv_bias())

    def query_key_value(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three `B nW N T d` tensors; V2's query and key have unit length."""
        qkv = self._qkv(windows).unflatten(-1, (3, self.num_heads, -1))  # B nW T 3 N d
        query, key, value = qkv.transpose(2, 4).unbind(3)  # B nW N T d
        if self.version == 2:
            query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
            # Normalising computes in float32 under autocast; attention wants one type.
            query, key = query.to(value.dtype), key.to(value.dtype)
        return query, key, value

    def scale(self) -> float | Tensor:
        """What multiplies q k^T: 1 / sqrt(d) in V1, a learned (N, 1, 1) in V2."""
        if self.version == 1:
            return (self.projection.in_features // self.num_heads) ** -0.5
        return self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()

    def weights(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention weights `B nW N T T` after softmax, for looking inside."""
        query, key, _ = self.query_key_value(windows)
        return _scores(
            query, key, self.position_bias.current(windows.dtype), mask, self.scale()
        ).softmax(-1)


def _scores(
    query: Tensor, key: Tensor, bias: Tensor, mask: Tensor | None, scale: float | Tensor
) -> Tensor:
    """Logits `B nW N T T`."""
    if isinstance(scale, float):
        scores = (query * scale) @ key.transpose(-2, -1)
    else:
        scores = (query @ key.transpose(-2, -1)) * scale.to(query.dtype)
    # The product is ours alone: adding in place saves a pass over the largest tensor.
    scores += bias.to(scores.dtype)
    if mask is None:
        return scores
    if torch.is_grad_enabled():
        # Writing to a part would make autograd copy the whole; the whole costs one more pass.
        mask = F.pad(mask, (0, 0, 0, 0, scores.shape[1] - mask.shape[0], 0))
        scores += mask[:, None].to(scores.dtype)
    else:
        scores[:, scores.shape[1] - mask.shape[0] :] += mask[:, None].to(scores.dtype)
    return scores


def _attend_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    scale: float | Tensor,
    dropout: float,
) -> Tensor:
    """The equation as the paper writes it; `B nW N T d`."""
    weights = _scores(query, key, bias, mask, scale).softmax(-1)
    return F.dropout(weights, dropout, training=dropout > 0) @ value


def _attend_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    scale: float | Tensor,
    dropout: float,
) -> Tensor:
    """The same through scaled_dot_product_attention; `B nW N T d`."""
    batch, num_windows = query.shape[:2]
    if not isinstance(scale, float):
        query, scale = query * scale.to(query.dtype), 1.0
    added = bias[None]  # 1 N T T, the same for every window
    if mask is not None:
        interior = bias[None].expand(num_windows - mask.shape[0], -1, -1, -1)
        added = torch.cat((interior, bias[None] + mask[:, None].to(bias.dtype)))
        if batch > 1:
            added = added.repeat(batch, 1, 1, 1)
    attended = F.scaled_dot_product_attention(
        query.flatten(0, 1),
        key.flatten(0, 1),
        value.flatten(0, 1),
        attn_mask=added.to(query.dtype),
        dropout_p=dropout,
        scale=scale,
    )
    return attended.unflatten(0, (batch, num_windows))
