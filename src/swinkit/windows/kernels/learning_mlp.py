"""Training an MLP on a CPU, some rows at a time, so that its hidden layer stays in the cache.

Legend: R rows (tokens), C channels, E hidden channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from swinkit.windows.kernels.products import product

PIECE_HIDDEN = 3136 * 384  # hidden values of a piece, floats
PIECE_ROWS = 1568  # fewer rows make products slow


def mlp_and_learn(
    tokens: Tensor, first: tuple[Tensor, Tensor], last: tuple[Tensor, Tensor]
) -> Tensor:
    """`... C` -> `... C`: linear, exact GELU, linear; differentiable.

    Args:
        tokens: input, contiguous.
        first, last: weight and bias; (E, C) and (C, E).
    """
    out: Tensor = _MLP.apply(tokens, *first, *last)
    return out


class _MLP(Function):
    """Keeps the input and the hidden layer before the GELU; the GELU is computed again."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        tokens, weight1, bias1, weight2, bias2 = inputs
        rows = tokens.flatten(0, -2)
        ctx.step = max(PIECE_HIDDEN // weight1.shape[0], PIECE_ROWS)
        out = torch.empty(rows.shape[0], weight2.shape[0])
        kept = []
        for part, place in zip(rows.split(ctx.step), out.split(ctx.step), strict=True):
            hidden = product(part, weight1, bias1)  # R E
            place.copy_(product(F.gelu(hidden), weight2, bias2))
            kept.append(hidden)
        ctx.save_for_backward(tokens, weight1, bias1, weight2, bias2, *kept)
        return out.view(*tokens.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        tokens, weight1, bias1, weight2, bias2, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = (tokens, weight1, bias1, weight2, bias2)
            hidden = F.gelu(F.linear(tokens, weight1, bias1))
            wanted = [x for x, need in zip(inputs, ctx.needs_input_grad, strict=True) if need]
            out = F.linear(hidden, weight2, bias2)
            found = iter(torch.autograd.grad(out, wanted, grads[0], create_graph=True))
            return tuple(next(found) if need else None for need in ctx.needs_input_grad)
        rows, grad = tokens.flatten(0, -2), grads[0].flatten(0, -2)
        to_tokens = torch.empty_like(rows)
        to_weight1, to_weight2 = torch.zeros_like(weight1), torch.zeros_like(weight2)
        to_bias1, to_bias2 = torch.zeros_like(bias1), torch.zeros_like(bias2)
        places = to_tokens.split(ctx.step)
        parts = zip(rows.split(ctx.step), grad.split(ctx.step), places, kept, strict=True)
        for part, flow, place, hidden in parts:
            to_weight2.addmm_(flow.t(), F.gelu(hidden))
            to_bias2 += flow.sum(0)
            to_hidden = torch.ops.aten.gelu_backward(product(flow, weight2.t()), hidden)
            to_weight1.addmm_(to_hidden.t(), part)
            to_bias1 += to_hidden.sum(0)
            place.copy_(product(to_hidden, weight1.t()))
        return to_tokens.view_as(tokens), to_weight1, to_bias1, to_weight2, to_bias2
