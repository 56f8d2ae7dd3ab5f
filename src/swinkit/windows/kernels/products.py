"""What the fast paths for float32 on a CPU share: when they apply, their products, their pieces.

oneDNN's product adds the bias on the way and is faster than the general one; intermediates that
fit into a processor's cache are never written to memory, and no large buffer is allocated.

Legend: R rows (tokens), C channels in, D channels out, nW windows.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["none", "gelu"]


def is_plain(layer: nn.Module, tokens: Tensor) -> bool:
    """Whether `layer` is a linear layer that nothing watches, and all is float32 on a CPU.

    A layer that was replaced, wrapped or given hooks must be called as any module; so must all
    layers under autocast, torch.compile and the transforms of torch.func.
    """
    return (
        type(layer) is nn.Linear
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and not (layer._backward_hooks or layer._backward_pre_hooks)
        and tokens.device.type == "cpu"
        and tokens.numel() > 0
        and tokens.dtype == layer.weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
    )


def product(
    rows: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation = "none"
) -> Tensor:
    """activation(rows weight^T + bias), `R C` x `D C` -> `R D`; autograd does not see it."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, activation, [], "none")


def cut(batch: int, num_windows: int, windows_per_piece: int) -> list[tuple[slice, int, int]]:
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
