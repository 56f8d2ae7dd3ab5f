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
from swinkit.windows.kernels import Kernel
from swinkit.windows.position_bias import PositionBiasMLP, PositionBiasTable

Heads = tuple[Tensor, Tensor, Tensor]  # query, key and value, `B nW N T d` each
MAX_LOGIT_SCALE = math.log(100.0)


class WindowAttention(nn.Module):
    """Attention among the T tokens of each window, with relative position bias.

    Source: WindowAttention in models/swin_transformer.py and models/swin_transformer_v2.py of the
    official repository.

    Args:
        channels: C.
        num_heads: N.
        window_hw: (Mh, Mw), T = Mh * Mw.
        version: 1 scaled dot product, 2 cosine.
        qkv_bias: bias on query, key and value (V2: on query and value, the key has none).
        pretrained_window_hw: V2, window of the bias MLP's training; (0, 0) for this one.
        dropout: rate after the projection. attention_dropout: rate on the weights.
        kernel: see `windows/kernels`; a fast path is the block's to take, not this module's.
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
        self.scale_is_in_query = False
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
        heads = self.query_key_value(windows)
        bias = self.position_bias.current(windows.dtype)
        dropout = self.attention_dropout if self.training else 0.0
        attend = attend_reference if self.kernel == "reference" else attend_sdpa
        attended = attend(heads, bias, mask, self.scale(), dropout)  # B nW N T d
        attended = attended.transpose(2, 3).flatten(3)  # B nW T C
        return self.dropout(self.projection(attended))

    def query_key_value(self, windows: Tensor) -> Heads:
        """Three `B nW N T d` tensors; V2's query and key have unit length."""
        qkv = (
            self.qkv(windows)
            if self.version == 1
            else F.linear(windows, self.qkv.weight, self.qkv_bias())
        )
        return split_heads(qkv, self.num_heads, cosine=self.version == 2)

    def qkv_bias(self) -> Tensor | None:
        """(3C,), with zeros for V2's key, or None."""
        if self.version == 1 or self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))

    def scale(self) -> float | Tensor:
        """What multiplies q k^T: 1 / sqrt(d) in V1, a learned (N, 1, 1) in V2."""
        if self.scale_is_in_query:
            return 1.0
        if self.version == 1:
            return (self.projection.in_features // self.num_heads) ** -0.5
        return self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()

    def put_scale_in_query(self) -> None:
        """Scale V1's query by its weights: a product less at every call, equal but for rounding.

        For a graph's copy of a model: the weights are then no longer those of a weight file.
        """
        scale = self.scale()
        if not isinstance(scale, float) or self.scale_is_in_query:
            return
        channels = self.projection.in_features
        with torch.no_grad():
            self.qkv.weight[:channels] *= scale
            if self.qkv.bias is not None:
                self.qkv.bias[:channels] *= scale
        self.scale_is_in_query = True

    def forward_seen(
        self, windows: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, by the equation, with what it passes through, for looking inside.

        Returns:
            Out `B nW T C`; the scores before the mask and the weights after softmax, `B nW N T T`,
            both part of the graph that gives the first.
        """
        query, key, value = self.query_key_value(windows)
        bias = self.position_bias.current(windows.dtype)
        scores = attention_scores(query, key, bias, self.scale())
        weights = masked(scores, mask).softmax(-1)
        attended = (weights @ value).transpose(2, 3).flatten(3)  # B nW T C
        return self.dropout(self.projection(attended)), scores, weights


def split_heads(qkv: Tensor, num_heads: int, *, cosine: bool) -> Heads:
    """`B nW T 3C` -> query, key, value `B nW N T d`; query and key of unit length if `cosine`."""
    rows = qkv.flatten(0, 1).chunk(3, dim=-1)  # B*nW T C each
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in rows)
    # B*nW N T d each
    if cosine:
        # Normalizing computes in float32 under autocast; attention wants one type.
        query = F.normalize(query, dim=-1).to(value.dtype)
        key = F.normalize(key, dim=-1).to(value.dtype)
    split = (-1, qkv.shape[1])  # B nW
    return query.unflatten(0, split), key.unflatten(0, split), value.unflatten(0, split)


def attend_reference(
    heads: Heads, bias: Tensor, mask: Tensor | None, scale: float | Tensor, dropout: float = 0.0
) -> Tensor:
    """The equation as the paper writes it; `B nW N T d`."""
    query, key, value = heads
    weights = attention_weights(query, key, bias, mask, scale)
    return F.dropout(weights, dropout, training=dropout > 0) @ value


def attention_weights(
    query: Tensor, key: Tensor, bias: Tensor, mask: Tensor | None, scale: float | Tensor
) -> Tensor:
    """softmax(scale * q k^T + B + mask), `B nW N T T`."""
    return masked(attention_scores(query, key, bias, scale), mask).softmax(-1)


def attention_scores(query: Tensor, key: Tensor, bias: Tensor, scale: float | Tensor) -> Tensor:
    """scale * q k^T + B, `B nW N T T`."""
    if isinstance(scale, float):
        scores = (query * scale) @ key.transpose(-2, -1)
    else:
        scores = (query @ key.transpose(-2, -1)) * scale.to(query.dtype)
    return scores + bias.to(scores.dtype)


def masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """`B nW N T T` scores with the (nS, T, T) mask added in the last nS windows."""
    if mask is None:
        return scores
    interior = scores.shape[1] - mask.shape[0]  # windows without a mask
    mask = F.pad(mask, (0, 0, 0, 0, interior, 0))  # nW T T
    return scores + mask[:, None].to(scores.dtype)


def attend_sdpa(
    heads: Heads, bias: Tensor, mask: Tensor | None, scale: float | Tensor, dropout: float = 0.0
) -> Tensor:
    """The same through scaled_dot_product_attention; `B nW N T d`."""
    query, key, value = heads
    num_windows, num_heads = query.shape[1:3]
    if not isinstance(scale, float):
        query, scale = query * scale.to(query.dtype), 1.0
    added, merged, split = bias[None], (0, 1), (0, (-1, num_windows))  # 1 N T T: for every window
    if mask is not None:
        added = bias[None] + mask[:, None].to(bias.dtype)  # nS N T T
        if mask.shape[0] != num_windows:
            interior = bias[None].expand(num_windows - mask.shape[0], -1, -1, -1)
            added = torch.cat((interior, added))  # nW N T T
        # Windows and heads together: the mask is the same for every image.
        added, merged, split = added.flatten(0, 1)[None], (1, 2), (1, (num_windows, num_heads))
    added = added.to(query.dtype)
    # B*nW N T d without a mask, B nW*N T d with one
    query, key, value = (x.flatten(*merged) for x in (query, key, value))
    if torch.compiler.is_exporting():  # its kernel's checks would tie a graph to one batch size
        query = query if scale == 1.0 else query * scale
        attended = (query @ key.transpose(-2, -1) + added).softmax(-1) @ value
    else:
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=added, dropout_p=dropout, scale=scale
        )
    return attended.unflatten(*split)
