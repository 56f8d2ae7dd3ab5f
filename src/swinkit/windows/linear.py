"""Linear layers for inference on a CPU: oneDNN adds the bias and applies GELU inside the product.

The plain path writes the bias, multiplies on top of it, and reads all of it again for GELU; at the
sizes of a Swin block those passes cost as much as a third of the product.

Legend: C channels in, D channels out.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(
    tokens: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: Literal["none", "gelu"] = "none",
) -> Tensor:
    """`... C` -> `... D`, with exact (erf) GELU on request; differentiable.

    The fused product is used on float32 CPU tensors while gradients are off.
    """
    if _can_fuse(tokens, weight):
        flat = tokens.reshape(-1, tokens.shape[-1])
        fused = torch.ops.mkldnn._linear_pointwise(flat, weight, bias, activation, [], "none")
        return fused.view(*tokens.shape[:-1], -1)
    product = F.linear(tokens, weight, bias)
    return F.gelu(product) if activation == "gelu" else product


def _can_fuse(tokens: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and tokens.device.type == "cpu"
        and tokens.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )
