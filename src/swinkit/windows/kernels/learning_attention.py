"""Training W-MSA and SW-MSA on a CPU: projections and attention of some windows at a time.

Only the input, query, key, value and what attention gave are kept for the backward pass; attention
weights are computed again there, which costs less than writing them to memory and reading them.

Legend: B batch, C channels, N heads, d = C / N, T tokens per window, nW windows, nS windows on the
seam of a shift, w windows of a piece, D = 3C.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from swinkit.windows.kernels.piece import AttentionPiece
from swinkit.windows.kernels.products import cut, product

PIECE_SCORES = 3136 * 96  # attention weights of a piece, floats
PIECE_ROWS = 1568  # fewer rows make products slow

Grads = tuple[Tensor | None, ...]


def attend_and_learn(
    windows: Tensor,
    qkv: tuple[Tensor, Tensor | None],
    projection: tuple[Tensor, Tensor],
    bias: Tensor,
    mask: Tensor | None,
    scale: float | Tensor,
    num_heads: int,
) -> Tensor:
    """`B nW T C` -> `B nW T C`: what `WindowAttention` computes, without dropout, differentiable.

    Args:
        windows: tokens, contiguous.
        qkv, projection: weight and bias; (3C, C) and (C, C).
        bias: (N, T, T) relative position bias.
        mask: (nS, T, T) for the last nS windows, or None.
        scale: V1 a number; V2 a tensor (N, 1, 1), which makes the attention cosine.
        num_heads: N.
    """
    out: Tensor = _AttentionBranch.apply(windows, *qkv, *projection, bias, scale, mask, num_heads)
    return out


def _mask_of(mask: Tensor | None, num_windows: int, first: int, last: int) -> Tensor | None:
    if mask is None:
        return None
    before_seam = num_windows - mask.shape[0]
    part = mask[max(first - before_seam, 0) : max(last - before_seam, 0)]
    return part if part.shape[0] else None


class _AttentionBranch(Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        windows, qkv_weight, qkv_bias, out_weight, out_bias, bias, scale, mask, heads = inputs
        batch, num_windows, tokens, _ = windows.shape
        per_piece = max(PIECE_SCORES // (heads * tokens**2), PIECE_ROWS // tokens, 1)
        ctx.pieces = cut(batch, num_windows, per_piece)
        ctx.heads, ctx.mask, ctx.scale = heads, mask, scale
        out = torch.empty_like(windows)
        kept = []
        for rows, first, last in ctx.pieces:
            part = windows[rows, first:last]  # B w T C
            qkv = product(part.flatten(0, 2), qkv_weight, qkv_bias)
            qkv = qkv.view(*part.shape[:3], -1)
            seam = _mask_of(mask, num_windows, first, last)
            attended = AttentionPiece(qkv, bias, seam, scale, heads).attended()
            flat = product(attended.flatten(0, 2), out_weight, out_bias)
            out[rows, first:last] = flat.view_as(part)
            kept += [qkv, attended]
        factor = scale if isinstance(scale, Tensor) else None
        ctx.save_for_backward(
            windows, qkv_weight, qkv_bias, out_weight, out_bias, bias, factor, *kept
        )
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, grads[0])
        grad = grads[0].contiguous()
        windows, qkv_weight, qkv_bias, out_weight, _, bias, factor, *kept = ctx.saved_tensors
        scale = ctx.scale if factor is None else factor
        to_windows = torch.empty_like(windows)
        to_qkv_weight, to_out_weight = torch.zeros_like(qkv_weight), torch.zeros_like(out_weight)
        to_qkv_bias, to_out_bias = (qkv_weight.new_zeros(len(w)) for w in (qkv_weight, out_weight))
        to_bias = torch.zeros_like(bias)
        to_scale = None if factor is None else torch.zeros_like(factor)
        num_windows = windows.shape[1]
        for (rows, first, last), qkv, attended in zip(
            ctx.pieces, kept[::2], kept[1::2], strict=True
        ):
            part, flat = windows[rows, first:last], grad[rows, first:last].flatten(0, 2)
            to_out_weight.addmm_(flat.t(), attended.flatten(0, 2))
            to_out_bias += flat.sum(0)
            to_attended = product(flat, out_weight.t()).view_as(attended)
            mask = _mask_of(ctx.mask, num_windows, first, last)
            found = AttentionPiece(qkv, bias, mask, scale, ctx.heads).backward(to_attended)
            to_qkv = found[0].flatten(0, 2)
            to_bias += found[1]
            if to_scale is not None and found[2] is not None:
                to_scale += found[2]
            to_qkv_weight.addmm_(to_qkv.t(), part.flatten(0, 2))
            to_qkv_bias += to_qkv.sum(0)
            to_windows[rows, first:last] = product(to_qkv, qkv_weight.t()).view_as(part)
        return (
            to_windows,
            to_qkv_weight,
            None if qkv_bias is None else to_qkv_bias,
            to_out_weight,
            to_out_bias,
            to_bias,
            to_scale,
            None,
            None,
        )


def _differentiable_backward(ctx: Any, grad: Tensor) -> Grads:
    """Gradients that can be differentiated again, from plain operations."""
    windows, qkv_weight, qkv_bias, out_weight, out_bias, bias, factor = ctx.saved_tensors[:7]
    inputs = (windows, qkv_weight, qkv_bias, out_weight, out_bias, bias, factor)
    qkv = F.linear(windows, qkv_weight, qkv_bias).unflatten(-1, (3, ctx.heads, -1))
    query, key, value = qkv.transpose(2, 4).unbind(3)  # B nW N T d
    if factor is None:
        query = query * ctx.scale
    else:
        query, key = F.normalize(query, dim=-1) * factor, F.normalize(key, dim=-1)
    scores = query @ key.transpose(-2, -1) + bias
    if ctx.mask is not None:
        interior = scores.shape[1] - ctx.mask.shape[0]
        scores = scores + F.pad(ctx.mask, (0, 0, 0, 0, interior, 0))[:, None]
    attended = (scores.softmax(-1) @ value).transpose(2, 3).flatten(3)
    out = F.linear(attended, out_weight, out_bias)
    wanted = [x for x, need in zip(inputs, ctx.needs_input_grad, strict=False) if need]
    found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True))
    return tuple(next(found) if need else None for need in ctx.needs_input_grad)
