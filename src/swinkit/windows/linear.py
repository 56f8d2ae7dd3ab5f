"""Linear layers for inference on a CPU: oneDNN adds the bias and applies GELU inside the product.

The plain path writes the bias, multiplies on top of it, and reads all of it again for GELU; at the
sizes of a Swin block those passes cost as much as a third of the product.

Legend: C channels in, D channels out.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(
    layer: nn.Module, tokens: Tensor, activation: Literal["none", "gelu"] = "none"
) -> Tensor:
    """`layer(tokens)`, `... C` -> `... D`, with exact (erf) GELU on request; differentiable.

    The fused product is used for a plain float32 `nn.Linear` on the CPU while gradients are off;
    a layer that was replaced, wrapped or given hooks is called as any module.
    """
    if isinstance(layer, nn.Linear) and _can_fuse(layer, tokens):
        flat = tokens.reshape(-1, tokens.shape[-1])
        fused = torch.ops.mkldnn._linear_pointwise(
            flat, layer.weight, layer.bias, activation, [], "none"
        )
        return fused.view(*tokens.shape[:-1], -1)
    product = layer(tokens)
    return F.gelu(product) if activation == "gelu" else product


def _can_fuse(layer: nn.Linear, tokens: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and type(layer) is nn.Linear
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and tokens.device.type == "cpu"
        and tokens.numel() > 0
        and tokens.dtype == layer.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )
