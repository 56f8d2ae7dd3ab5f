"""Linear layers and the MLP in float32 on a CPU, and how work is cut into pieces.

oneDNN's product adds the bias on the way and is faster than the general one where weights are laid
out for it once, or the processor has AVX-512. Intermediates of a piece fit into the processor's
cache: they are never written to memory, and no large buffer is allocated.

Legend: B batch, nW windows, T tokens per window, R rows (tokens), C channels in, D channels out,
E hidden channels of the MLP.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.utils.weak import WeakIdKeyDictionary

# Floats of the residual stream in one piece of work. Its largest intermediate, the MLP's hidden
# layer, is four times as large.
PIECE_FLOATS = 3136 * 96
# Each product lays out its weights anew: with fewer rows that would take as long as multiplying.
LEAST_ROWS = 1568
# Whose product is faster where weights change at every step and are laid out anew: MKL's on AVX2,
# by 5 to 15%, also as it writes where its result is wanted; oneDNN's on AVX-512.
TRAINS_BY_MKL = (
    torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2"
)

Piece = tuple[slice, int, int]

# Numbers of a weight that are compared at each use of what was laid out for it.
SAMPLES = 16


@dataclass(frozen=True, slots=True)
class _Packed:
    version: int
    place: int
    sample: Tensor
    weight: Tensor


_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()


def packed(weight: Tensor, rows: int) -> Tensor:
    """A (D, C) weight as oneDNN takes it for products of about that many rows, made once.

    Without this every product lays its weight out anew: 5 to 20% of its time, most where few rows
    meet many weights. What is kept takes as much memory as the weights of the linear layers.
    It is made anew when the weight has changed: its version counter tells, its memory, or, as
    writes through `.data` leave both alone, some of its numbers.
    """
    version = 0 if weight.is_inference() else weight._version
    sample = weight.flatten()[:: max(weight.numel() // SAMPLES, 1)]
    found: _Packed | None = _kept.get(weight)
    if (
        found is None
        or (found.version, found.place) != (version, weight.data_ptr())
        or not torch.equal(found.sample, sample)
    ):
        made = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
        found = _Packed(version, weight.data_ptr(), sample.detach().clone(), made)
        _kept[weight] = found
    return found.weight


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows weight^T + bias, `R C` x `D C` -> `R D`; autograd does not see it."""
    if TRAINS_BY_MKL:
        return F.linear(rows, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "none")


def product_into(place: Tensor, rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """`product`, written to `R D`."""
    if not TRAINS_BY_MKL:
        place.copy_(product(rows, weight, bias))
    elif bias is None:
        torch.mm(rows, weight.t(), out=place)
    else:
        torch.addmm(bias, rows, weight.t(), out=place)


def product_of_kept(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["none", "gelu"] = "none",
) -> Tensor:
    """activation(`product`), with the weight laid out once for many calls; for inference."""
    kept = packed(weight, rows.shape[0])
    return torch.ops.mkldnn._linear_pointwise(rows, kept, bias, activation, [], "none")


def rows_per_piece(channels: int) -> int:
    """Tokens of C channels that one piece of work takes."""
    return max(PIECE_FLOATS // channels, LEAST_ROWS)


def cut(batch: int, num_windows: int, windows_per_piece: int) -> list[Piece]:
    """(images, first window, last window) of pieces: whole images, or runs of one's windows."""
    images = windows_per_piece // max(num_windows, 1)
    if images:
        count = max(-(-batch // images), 1)
        step = max(-(-batch // count), 1)
        return [(slice(b, b + step), 0, num_windows) for b in range(0, batch, step)]
    pieces = min(-(-num_windows // max(windows_per_piece, 1)), num_windows)
    step = -(-num_windows // pieces)
    return [
        (slice(b, b + 1), w, min(w + step, num_windows))
        for b in range(batch)
        for w in range(0, num_windows, step)
    ]


def mlp(tokens: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """`... C` -> `... C`: linear (E, C), exact GELU, linear (C, E); differentiable.

    Training keeps the input and the hidden layer before the GELU; the GELU is computed again.
    """
    if torch.is_grad_enabled():
        out: Tensor = _MLP.apply(tokens, weight1, bias1, weight2, bias2)
        return out
    hidden = product_of_kept(tokens.flatten(0, -2), weight1, bias1, "gelu")  # R E
    return product_of_kept(hidden, weight2, bias2).view(*tokens.shape[:-1], -1)


def _plain_mlp(
    tokens: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    return F.linear(F.gelu(F.linear(tokens, weight1, bias1)), weight2, bias2)


class _MLP(Function):
    """`mlp` in pieces of rows."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        tokens, weight1, bias1, weight2, bias2 = inputs
        rows = tokens.flatten(0, -2)
        ctx.step = rows_per_piece(tokens.shape[-1])
        out = torch.empty(rows.shape[0], weight2.shape[0])
        kept = []
        for part, place in zip(rows.split(ctx.step), out.split(ctx.step), strict=True):
            hidden = product(part, weight1, bias1)  # R E
            product_into(place, F.gelu(hidden), weight2, bias2)
            kept.append(hidden)
        ctx.save_for_backward(*inputs, *kept)
        return out.view(*tokens.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        tokens, weight1, bias1, weight2, bias2, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = (tokens, weight1, bias1, weight2, bias2)
            return backward_of(_plain_mlp, inputs, ctx.needs_input_grad, grads[0])
        rows, grad = tokens.flatten(0, -2), grads[0].flatten(0, -2)
        to_tokens = torch.empty_like(rows)
        learns = any(ctx.needs_input_grad[1:])  # half of the work
        to = [
            torch.zeros_like(value) if learns else None
            for value in (weight1, bias1, weight2, bias2)
        ]
        pieces = (x.split(ctx.step) for x in (rows, grad, to_tokens))
        for part, flow, place, hidden in zip(*pieces, kept, strict=True):
            to_hidden = torch.ops.aten.gelu_backward(product(flow, weight2.t()), hidden)
            if learns:
                add_linear(to[0], to[1], to_hidden, part)
                add_linear(to[2], to[3], flow, F.gelu(hidden))
            product_into(place, to_hidden, weight1.t())
        return to_tokens.view_as(tokens), *to


def add_linear(
    to_weight: Tensor | None, to_bias: Tensor | None, flow: Tensor, rows: Tensor
) -> None:
    """Add a linear layer's gradients where they are asked for.

    Args:
        to_weight, to_bias: (D, C) and (D,) sums, or None.
        flow: `R D` gradient of what the layer gives. rows: `R C` that it reads.
    """
    if to_weight is not None:
        to_weight.addmm_(flow.t(), rows)
    if to_bias is not None:
        to_bias.add_(flow.sum(0))


def backward_of(
    function: Callable[..., Tensor],
    inputs: tuple[Any, ...],
    needed: tuple[bool, ...],
    grad: Tensor,
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again, through `function` of plain operations.

    Args:
        needed: whether the gradient of each input is asked for.
    """
    wanted = [value for value, need in zip(inputs, needed, strict=True) if need]
    found = iter(torch.autograd.grad(function(*inputs), wanted, grad, create_graph=True))
    return tuple(next(found) if need else None for need in needed)
