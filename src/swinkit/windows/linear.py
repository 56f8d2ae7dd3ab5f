"""A linear layer, with oneDNN's fused product where nothing needs a gradient on a CPU.

The plain path writes the bias, multiplies on top of it, and reads all of it again for GELU; at the
sizes of a Swin block those passes cost as much as a third of the product.

Legend: C channels in, D channels out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.windows.kernels.products import Activation, is_plain, product


def linear(layer: nn.Module, tokens: Tensor, activation: Activation = "none") -> Tensor:
    """`layer(tokens)`, `... C` -> `... D`, with exact (erf) GELU on request; differentiable.

    The fused product is used for a plain float32 `nn.Linear` on the CPU while gradients are off;
    a layer that was replaced, wrapped or given hooks is called as any module.
    """
    if isinstance(layer, nn.Linear) and not torch.is_grad_enabled() and is_plain(layer, tokens):
        flat = tokens.reshape(-1, tokens.shape[-1])
        return product(flat, layer.weight, layer.bias, activation).view(*tokens.shape[:-1], -1)
    out = layer(tokens)
    return F.gelu(out) if activation == "gelu" else out
