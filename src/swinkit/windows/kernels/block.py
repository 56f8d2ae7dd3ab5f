"""The one call that a block makes, and the one place that decides which fast path applies.

Inference on a CPU goes through pieces of whole images or runs of windows, which do not see each
other, so that intermediates stay in the processor's cache. Training does so inside attention and
inside the MLP. In float32 both use the products of `linear.py` and `attention.py`.

Legend: B batch, C channels, T tokens per window, P slots in window order.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels.attention import AttentionWeights, attend
from swinkit.windows.kernels.linear import cut, mlp, rows_per_piece
from swinkit.windows.shift_mask import WindowGeometry

_MLP_LAYERS = [nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Dropout]


class Branches(Protocol):
    """The two branches of a block: what each residual adds, `B P C`."""

    def attention_branch(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor: ...

    def mlp_branch(self, tokens: Tensor) -> Tensor: ...


class Block(Branches, Protocol):
    """What a fast path reads of a `SwinBlock`."""

    version: Literal[1, 2]
    training: bool
    drop_path_rate: float
    norm1: nn.LayerNorm
    attention: WindowAttention
    norm2: nn.LayerNorm
    mlp: nn.Sequential

    def modules(self) -> Iterator[nn.Module]: ...

    def add(self, tokens: Tensor, branch: Tensor) -> Tensor: ...


def fast_block(block: Block, tokens: Tensor, geometry: WindowGeometry) -> Tensor | None:
    """`B P C` -> `B P C`: what `block` computes, or None where no fast path applies."""
    if not _may_be_rearranged(block, tokens):
        return None
    fast = _Float32.of(block, tokens)
    if not torch.is_grad_enabled():
        if block.training and block.drop_path_rate > 0.0:
            return None  # an image is dropped as a whole
        return _infer_in_pieces(fast or block, tokens, geometry)
    if fast is None:
        return None
    tokens = block.add(tokens, fast.attention_branch(tokens, geometry))
    return block.add(tokens, fast.mlp_branch(tokens))


def _may_be_rearranged(block: Block, tokens: Tensor) -> bool:
    """Eager mode on a CPU, no dropout, and every module of the block one that nobody watches."""
    return (
        not torch.compiler.is_compiling()
        and tokens.device.type == "cpu"
        and tokens.numel() > 0
        and not torch._C._are_functorch_transforms_active()
        and type(block.attention) is WindowAttention
        and block.attention.kernel == "auto"
        and not (block.training and block.attention.attention_dropout > 0.0)
        and all(_is_quiet(module) for module in islice(block.modules(), 1, None))
    )


def _is_quiet(module: nn.Module) -> bool:
    """No hook must be called, and no dropout drawn."""
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or (module.training and isinstance(module, nn.Dropout) and module.p > 0.0)
    )


class _Float32:
    """The branches of a block through `attend` and `mlp`.

    Args:
        linear: the MLP's layers.
    """

    def __init__(self, block: Block, linear: tuple[nn.Linear, nn.Linear]) -> None:
        self.block = block
        self.attention = AttentionWeights.of(block.attention)
        self.mlp = (linear[0].weight, linear[0].bias, linear[1].weight, linear[1].bias)

    @staticmethod
    def of(block: Block, tokens: Tensor) -> "_Float32 | None":
        """None unless all is float32 and each linear layer PyTorch's own, untouched."""
        mlp = list(block.mlp) if type(block.mlp) is nn.Sequential else []
        if [type(layer) for layer in mlp] != _MLP_LAYERS or mlp[1].approximate != "none":
            return None
        layers = (block.attention.qkv, block.attention.projection, *mlp)
        linear = [layer for layer in layers if type(layer) is nn.Linear]
        applies = (
            len(linear) == 4
            and tokens.dtype == torch.float32
            and torch.backends.mkldnn.is_available()
            and not torch.is_autocast_enabled("cpu")
            and all(layer.weight.dtype == torch.float32 for layer in linear)
            and all(type(layer.weight) in (nn.Parameter, Tensor) for layer in linear)
        )
        return _Float32(block, (linear[2], linear[3])) if applies else None

    def attention_branch(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        block = self.block
        windows = geometry.windows_of(block.norm1(tokens) if block.version == 1 else tokens)
        attended = attend(windows, self.attention, geometry, block.attention.num_heads)
        attended = attended.flatten(1, 2)  # B P C
        return attended if block.version == 1 else block.norm1(attended)

    def mlp_branch(self, tokens: Tensor) -> Tensor:
        if self.block.version == 1:
            return mlp(self.block.norm2(tokens), *self.mlp)
        return self.block.norm2(mlp(tokens, *self.mlp))


def _infer_in_pieces(branches: Branches, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
    batch, num_slots, channels = tokens.shape
    out, size = torch.empty_like(tokens), num_slots // geometry.num_windows  # T
    for images, first, last in cut(batch, geometry.num_windows, rows_per_piece(channels) // size):
        slots = slice(first * size, last * size)
        piece, place = tokens[images, slots], out[images, slots]
        branch = branches.attention_branch(piece, geometry.part(first, last))
        torch.add(piece, branch, out=place)
        place += branches.mlp_branch(place)
    return out
