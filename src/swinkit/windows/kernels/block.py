"""The one call that a block makes, and the one place that decides whether the fast path applies.

The path is for float32 on a CPU. Inference goes through pieces of whole images or runs of windows,
which do not see each other, so that intermediates stay in the processor's cache. Training does so
inside attention and inside the MLP, and computes attention weights again in the backward pass.

Legend: B batch, C channels, T tokens per window, P slots in window order.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels.attention import AttentionWeights, attend
from swinkit.windows.kernels.linear import cut, mlp, rows_per_piece
from swinkit.windows.shift_mask import WindowGeometry

MLP_LAYERS = [nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Dropout]


class Block(Protocol):
    """What the fast path reads of a `SwinBlock`."""

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
    """`B P C` -> `B P C`: what `block` computes, or None where the fast path does not apply."""
    if not _applies(block, tokens):
        return None
    branches = _Branches(block)
    if torch.is_grad_enabled():
        tokens = block.add(tokens, branches.attention(tokens, geometry))
        return block.add(tokens, branches.mlp(tokens))
    return _infer_in_pieces(branches, tokens, geometry)


def _applies(block: Block, tokens: Tensor) -> bool:
    attention = block.attention
    drops_images = block.training and block.drop_path_rate > 0.0
    return (
        not torch.compiler.is_compiling()
        and tokens.device.type == "cpu"
        and tokens.dtype == torch.float32
        and tokens.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and not (drops_images and not torch.is_grad_enabled())  # pieces are no whole images
        and type(attention) is WindowAttention
        and attention.kernel == "auto"
        and not (block.training and attention.attention_dropout > 0.0)
        and type(attention.qkv) is type(attention.projection) is nn.Linear
        and type(block.mlp) is nn.Sequential
        and [type(layer) for layer in block.mlp] == MLP_LAYERS
        and all(map(_is_untouched, block.modules()))
    )


def _is_untouched(module: nn.Module) -> bool:
    """It has no hook that must be called, draws no dropout, and multiplies by plain float32."""
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    if module._backward_hooks or module._backward_pre_hooks:
        return False
    if isinstance(module, nn.Linear):
        weight = module.weight
        return weight.dtype == torch.float32 and type(weight) in (nn.Parameter, Tensor)
    if isinstance(module, nn.GELU):
        return module.approximate == "none"
    return not (isinstance(module, nn.Dropout) and module.training and module.p > 0.0)


class _Branches:
    """The two branches of a block: what each residual adds, `B P C`."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.weights = AttentionWeights.of(block.attention)
        first, _, _, last, _ = cast(Iterable[nn.Linear], block.mlp)
        self.mlp_weights = (first.weight, first.bias, last.weight, last.bias)

    def attention(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        block = self.block
        windows = geometry.windows_of(block.norm1(tokens) if block.version == 1 else tokens)
        attended = attend(windows, self.weights, geometry, block.attention.num_heads)  # B nW T C
        attended = attended.flatten(1, 2)  # B P C
        return attended if block.version == 1 else block.norm1(attended)

    def mlp(self, tokens: Tensor) -> Tensor:
        if self.block.version == 1:
            return mlp(self.block.norm2(tokens), *self.mlp_weights)
        return self.block.norm2(mlp(tokens, *self.mlp_weights))


def _infer_in_pieces(branches: _Branches, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
    batch, num_slots, channels = tokens.shape
    out, size = torch.empty_like(tokens), num_slots // geometry.num_windows  # T
    for images, first, last in cut(batch, geometry.num_windows, rows_per_piece(channels) // size):
        slots = slice(first * size, last * size)
        piece, place = tokens[images, slots], out[images, slots]
        torch.add(piece, branches.attention(piece, geometry.part(first, last)), out=place)
        place += branches.mlp(place)
    return out
