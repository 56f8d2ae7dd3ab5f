"""W-MSA and SW-MSA in float32 on a CPU: projections and attention of some windows at a time.

Training keeps only the input, query, key, value and what attention gave for the backward pass;
attention weights are computed again there, which costs less than writing them to memory and reading
them.

Legend: B batch, C channels, N heads, d = C / N, T tokens per window, nW windows, nS windows on the
seam of a shift, w windows of a piece.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from swinkit.windows.attention import WindowAttention, attend_reference, split_heads
from swinkit.windows.kernels.linear import backward_of, cut, product, rows_per_piece
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
    _, _, out = _attend_piece(windows, weights, geometry.mask, num_heads)
    return out


def _attend_piece(
    windows: Tensor, weights: AttentionWeights, mask: Tensor | None, num_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of `B w T C`: query, key, value `B w T 3C`, attention's result and its projection."""
    qkv = product(windows.flatten(0, 2), weights.qkv, weights.qkv_bias)
    qkv = qkv.view(*windows.shape[:3], -1)  # B w T 3C
    heads = _Heads(qkv, weights.position_bias, mask, weights.scale, num_heads)
    attended = heads.attended()  # B w T C
    out = product(attended.flatten(0, 2), weights.out, weights.out_bias).view_as(windows)
    return qkv, attended, out


class _Heads:
    """Query, key, value (`B w N T d`) and attention weights (`B w N T T`) of a piece.

    Args:
        qkv: `B w T 3C`. bias: (N, T, T). mask: (nS, T, T) for the last nS windows, or None.
        scale: see `AttentionWeights`.
    """

    def __init__(
        self, qkv: Tensor, bias: Tensor, mask: Tensor | None, scale: float | Tensor, num_heads: int
    ) -> None:
        self.scale = scale
        split = qkv.unflatten(-1, (3, num_heads, -1)).permute(3, 0, 1, 4, 2, 5)  # 3 B w N T d
        self.query, self.key, self.value = split.contiguous().unbind(0)
        if isinstance(scale, Tensor):
            pair = (self.query, self.key)
            self.lengths = [x.norm(dim=-1, keepdim=True).clamp_min(EPSILON) for x in pair]
            self.query, self.key = (x / y for x, y in zip(pair, self.lengths, strict=True))
            # Scaling the product, as the official code does, rounds as it does.
            scores = (self.query @ self.key.transpose(-2, -1)).mul_(scale).add_(bias)
        else:
            shape = (*self.query.shape[:-1], self.query.shape[-2])
            scores = bias.new_empty(shape).copy_(bias)  # B w N T T
            query, key = self.query.flatten(0, 2), self.key.flatten(0, 2)
            scores.flatten(0, 2).baddbmm_(query, key.transpose(1, 2), alpha=scale)
        if mask is not None:
            scores[:, scores.shape[1] - mask.shape[0] :] += mask[:, None]
        self.weights = scores.softmax(-1)

    def attended(self) -> Tensor:
        """`B w T C`."""
        return (self.weights @ self.value).transpose(2, 3).flatten(3)

    def backward(self, grad: Tensor) -> tuple[Tensor, Tensor, Any]:
        """From the gradient of `attended` to those of qkv (B w T 3C), the bias and the scale."""
        num_heads, width = self.query.shape[2], self.query.shape[4]
        grad = grad.unflatten(-1, (num_heads, width)).transpose(2, 3).contiguous()  # B w N T d
        to_weights = grad @ self.value.transpose(-2, -1)
        to_scores = torch._softmax_backward_data(to_weights, self.weights, -1, torch.float32)
        split = grad.new_empty(3, *grad.shape)
        to_scale = None
        torch.matmul(self.weights.transpose(-2, -1), grad, out=split[2])
        if isinstance(self.scale, Tensor):
            to_query = to_scores @ self.key
            to_scale = (to_query * self.query).sum((0, 1, 3, 4))[:, None, None]
            to_key = to_scores.transpose(-2, -1) @ (self.query * self.scale)
            split[0] = _through_normalize(to_query * self.scale, self.query, self.lengths[0])
            split[1] = _through_normalize(to_key, self.key, self.lengths[1])
        else:
            torch.matmul(to_scores, self.key, out=split[0])
            torch.matmul(to_scores.transpose(-2, -1), self.query, out=split[1])
            split[:2] *= self.scale
        to_qkv = split.permute(1, 2, 4, 0, 3, 5).flatten(3)  # B w T 3C
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
        to = AttentionWeights._make(_zeros(weight) for weight in weights)
        pieces = zip(ctx.pieces, kept[::2], kept[1::2], strict=True)
        for (images, first, last), qkv, attended in pieces:
            flow = grad[images, first:last].flatten(0, 2)  # R C
            to.out.addmm_(flow.t(), attended.flatten(0, 2))
            to.out_bias.add_(flow.sum(0))
            mask = ctx.geometry.part(first, last).mask
            heads = _Heads(qkv, weights.position_bias, mask, scale, ctx.num_heads)
            found = heads.backward(product(flow, weights.out.t()).view_as(attended))
            to.position_bias.add_(found[1])
            if isinstance(to.scale, Tensor):
                to.scale.add_(found[2])
            flow, part = found[0].flatten(0, 2), windows[images, first:last]
            to.qkv.addmm_(flow.t(), part.flatten(0, 2))
            if to.qkv_bias is not None:
                to.qkv_bias.add_(flow.sum(0))
            to_windows[images, first:last] = product(flow, weights.qkv.t()).view_as(part)
        return to_windows, *to, None, None


def _zeros(value: Any) -> Any:
    return torch.zeros_like(value) if isinstance(value, Tensor) else None


def _plain_attention(windows: Tensor, *inputs: Any) -> Tensor:
    *learned, geometry, num_heads = inputs
    weights = AttentionWeights(*learned)
    qkv = F.linear(windows, weights.qkv, weights.qkv_bias)
    cosine = isinstance(weights.scale, Tensor)
    query, key, value = split_heads(qkv, num_heads, cosine=cosine)
    attended = attend_reference(
        query, key, value, weights.position_bias, geometry.mask, weights.scale
    )
    return F.linear(attended.transpose(2, 3).flatten(3), weights.out, weights.out_bias)
