"""W-MSA and SW-MSA in float32 on a CPU: projections and attention of some windows at a time.

Training keeps only the input, query, key, value and what attention gave for the backward pass;
attention weights are computed again there, which costs less than writing them to memory and reading
them.

Legend: B batch, C channels, N heads, d = C / N, T tokens per window, nW windows, nS windows on the
seam of a shift, w windows of a piece.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from swinkit.windows.attention import WindowAttention, attend_reference, attend_sdpa, split_heads
from swinkit.windows.kernels.linear import (
    add_linear,
    backward_of,
    cut,
    product,
    product_into,
    product_of_kept,
    rows_per_piece,
)
from swinkit.windows.shift_mask import WindowGeometry

EPSILON = 1e-12  # below which normalize does not divide


class AttentionWeights(NamedTuple):
    """What a `WindowAttention` has learned.

    Attributes:
        qkv, qkv_bias: (3C, C) and (3C,) or None. out, out_bias: (C, C) and (C,).
        position_bias: (N, T, T).
        scale: V1 a number; V2 a tensor (N, 1, 1), which makes the attention cosine.
    """

    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    out_bias: Tensor
    position_bias: Tensor
    scale: float | Tensor

    @staticmethod
    def of(attention: WindowAttention) -> "AttentionWeights":
        qkv, out = attention.qkv.weight, attention.projection
        position_bias = attention.position_bias.current(qkv.dtype).contiguous()
        scale = attention.scale()
        return AttentionWeights(
            qkv, attention.qkv_bias(), out.weight, out.bias, position_bias, scale
        )


def attend(
    windows: Tensor, weights: AttentionWeights, geometry: WindowGeometry, num_heads: int
) -> Tensor:
    """`B nW T C` -> `B nW T C`: what `WindowAttention` computes without dropout; differentiable."""
    if torch.is_grad_enabled():
        out: Tensor = _Attention.apply(windows, *weights, geometry, num_heads)
        return out
    _, _, out = _attend_piece(windows, weights, geometry.mask, num_heads, product_of_kept)
    return out


def _attend_piece(
    windows: Tensor,
    weights: AttentionWeights,
    mask: Tensor | None,
    num_heads: int,
    product: Callable[..., Tensor] = product,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of `B w T C`: query, key, value `B w T 3C`, attention's result and its projection."""
    qkv = product(windows.flatten(0, 2), weights.qkv, weights.qkv_bias)
    qkv = qkv.view(*windows.shape[:3], -1)  # B w T 3C
    heads = split_heads(qkv, num_heads, cosine=isinstance(weights.scale, Tensor))
    attended = attend_sdpa(heads, weights.position_bias, mask, weights.scale)
    attended = attended.transpose(2, 3).flatten(3)  # B w T C
    out = product(attended.flatten(0, 2), weights.out, weights.out_bias).view_as(windows)
    return qkv, attended, out


def _backward_of_piece(
    grad: Tensor, qkv: Tensor, weights: AttentionWeights, mask: Tensor | None, num_heads: int
) -> tuple[Tensor, Tensor, Any]:
    """From the gradient of attention's result (`B w T C`) to those of qkv (`B w T 3C`), the
    position bias and V2's scale. Attention weights are computed again."""
    scale, bias = weights.scale, weights.position_bias
    split = qkv.unflatten(-1, (3, num_heads, -1)).permute(3, 0, 1, 4, 2, 5)  # 3 B w N T d
    query, key, value = split.contiguous().unbind(0)
    lengths: list[Tensor] = []
    if isinstance(scale, Tensor):
        lengths = [x.norm(dim=-1, keepdim=True).clamp_min(EPSILON) for x in (query, key)]
        query, key = query / lengths[0], key / lengths[1]
    scaled = query * scale
    scores = bias.new_empty(*query.shape[:-1], query.shape[-2]).copy_(bias)  # B w N T T
    scores.flatten(0, 2).baddbmm_(scaled.flatten(0, 2), key.flatten(0, 2).transpose(1, 2))
    if mask is not None:
        scores[:, scores.shape[1] - mask.shape[0] :] += mask[:, None]
    attention = scores.softmax(-1)

    grad = grad.unflatten(-1, (num_heads, -1)).transpose(2, 3).contiguous()  # B w N T d
    to_attention = grad @ value.transpose(-2, -1)
    to_scores = torch._softmax_backward_data(to_attention, attention, -1, torch.float32)
    to_split = grad.new_empty(3, *grad.shape)  # 3 B w N T d
    to_query = torch.matmul(to_scores, key, out=to_split[0])
    to_key = torch.matmul(to_scores.transpose(-2, -1), scaled, out=to_split[1])
    torch.matmul(attention.transpose(-2, -1), grad, out=to_split[2])
    to_scale = None
    if isinstance(scale, Tensor):
        to_scale = (to_query * query).sum((0, 1, 3, 4))[:, None, None]
    to_query *= scale
    if lengths:
        to_split[0] = _through_normalize(to_query, query, lengths[0])
        to_split[1] = _through_normalize(to_key, key, lengths[1])
    to_qkv = to_split.permute(1, 2, 4, 0, 3, 5).flatten(3)  # B w T 3C
    return to_qkv, to_scores.sum((0, 1)), to_scale


def _through_normalize(grad: Tensor, unit: Tensor, length: Tensor) -> Tensor:
    return (grad - unit * (grad * unit).sum(-1, keepdim=True)) / length


class _Attention(Function):
    """`attend` in pieces of windows; its inputs are the windows, the weights and the rest."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        windows, *learned, ctx.geometry, ctx.num_heads = inputs
        weights = AttentionWeights(*learned)
        batch, num_windows, tokens, channels = windows.shape
        ctx.pieces = cut(batch, num_windows, rows_per_piece(channels) // tokens)
        out = torch.empty_like(windows)
        kept = []
        for images, first, last in ctx.pieces:
            part, mask = windows[images, first:last], ctx.geometry.part(first, last).mask
            qkv, attended, piece = _attend_piece(part, weights, mask, ctx.num_heads)
            out[images, first:last] = piece
            kept += [qkv, attended]
        ctx.scale = weights.scale
        if isinstance(ctx.scale, Tensor):
            kept, ctx.scale = [ctx.scale, *kept], None
        ctx.save_for_backward(windows, *weights[:-1], *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        windows, *saved = ctx.saved_tensors
        scale, kept = (ctx.scale, saved[5:]) if ctx.scale is not None else (saved[5], saved[6:])
        weights = AttentionWeights._make((*saved[:5], scale))
        if torch.is_grad_enabled():
            inputs = (windows, *weights, ctx.geometry, ctx.num_heads)
            return backward_of(_plain_attention, inputs, ctx.needs_input_grad, grads[0])
        grad = grads[0].contiguous()
        to_windows = torch.empty_like(windows)
        learns = any(ctx.needs_input_grad[1:])
        to = AttentionWeights._make(_zeros(weight) if learns else None for weight in weights)
        pieces = zip(ctx.pieces, kept[::2], kept[1::2], strict=True)
        for (images, first, last), qkv, attended in pieces:
            flow = grad[images, first:last].flatten(0, 2)  # R C
            add_linear(to.out, to.out_bias, flow, attended.flatten(0, 2))
            mask = ctx.geometry.part(first, last).mask
            to_attended = product(flow, weights.out.t()).view_as(attended)
            found = _backward_of_piece(to_attended, qkv, weights, mask, ctx.num_heads)
            if learns:
                to.position_bias.add_(found[1])
            if isinstance(to.scale, Tensor):
                to.scale.add_(found[2])
            flow, part = found[0].flatten(0, 2), windows[images, first:last]
            add_linear(to.qkv, to.qkv_bias, flow, part.flatten(0, 2))
            place = to_windows[images, first:last].view(len(flow), -1)
            product_into(place, flow, weights.qkv.t())
        return to_windows, *to, None, None


def _zeros(value: Any) -> Any:
    return torch.zeros_like(value) if isinstance(value, Tensor) else None


def _plain_attention(windows: Tensor, *inputs: Any) -> Tensor:
    *learned, geometry, num_heads = inputs
    weights = AttentionWeights(*learned)
    qkv = F.linear(windows, weights.qkv, weights.qkv_bias)
    cosine = isinstance(weights.scale, Tensor)
    heads = split_heads(qkv, num_heads, cosine=cosine)
    attended = attend_reference(heads, weights.position_bias, geometry.mask, weights.scale)
    return F.linear(attended.transpose(2, 3).flatten(3), weights.out, weights.out_bias)
