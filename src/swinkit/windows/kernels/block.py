"""The one call that a block makes, and the one place that decides whether the fast path applies.

The path is for float32 on a CPU. Inference, also under torch.compile, goes through pieces of whole
images or runs of windows, which do not see each other, so that intermediates stay in the
processor's cache. Training does so inside attention and inside the MLP, and computes attention
weights again in the backward pass.

Legend: B batch, C channels, T tokens per window, P slots in window order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels.attention import AttentionWeights, attend
from swinkit.windows.kernels.linear import cut, mlp, rows_per_piece
from swinkit.windows.shift_mask import WindowGeometry

HAS_ONEDNN = torch.backends.mkldnn.is_available()
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
    branches = _Branches.of(block)
    if torch.compiler.is_compiling():
        return _in_graph(branches, tokens, geometry)
    if torch.is_grad_enabled():
        tokens = block.add(tokens, branches.attention(tokens, geometry))
        return block.add(tokens, branches.mlp(tokens))
    return _infer_in_pieces(branches, tokens, geometry)


def _applies(block: Block, tokens: Tensor) -> bool:
    attention = block.attention
    drops_images = block.training and block.drop_path_rate > 0.0
    return (
        not torch.compiler.is_exporting()
        and not (torch.compiler.is_compiling() and torch.is_grad_enabled())
        and tokens.device.type == "cpu"
        and tokens.dtype == torch.float32
        and tokens.numel() > 0
        and HAS_ONEDNN
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


@dataclass(frozen=True, slots=True)
class _Branches:
    """The two branches of a block: what each residual adds, `B P C`.

    Attributes:
        norms: weight and bias, (C,) each, of both layer norms.
        mlp_weights: weight and bias of both linear layers.
    """

    version: int
    num_heads: int
    eps: float
    norms: list[Tensor]
    weights: AttentionWeights
    mlp_weights: list[Tensor]

    @staticmethod
    def of(block: Block) -> "_Branches":
        first, _, _, last, _ = cast(Iterable[nn.Linear], block.mlp)
        norm1, norm2 = block.norm1, block.norm2
        return _Branches(
            version=block.version,
            num_heads=block.attention.num_heads,
            eps=norm1.eps,
            norms=[norm1.weight, norm1.bias, norm2.weight, norm2.bias],
            weights=AttentionWeights.of(block.attention),
            mlp_weights=[first.weight, first.bias, last.weight, last.bias],
        )

    def attention(self, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
        windows = geometry.windows_of(self.norm(0, tokens) if self.version == 1 else tokens)
        attended = attend(windows, self.weights, geometry, self.num_heads)  # B nW T C
        attended = attended.flatten(1, 2)  # B P C
        return attended if self.version == 1 else self.norm(0, attended)

    def mlp(self, tokens: Tensor) -> Tensor:
        if self.version == 1:
            return mlp(self.norm(1, tokens), *self.mlp_weights)
        return self.norm(1, mlp(tokens, *self.mlp_weights))

    def norm(self, number: int, tokens: Tensor) -> Tensor:
        weight, bias = self.norms[2 * number : 2 * number + 2]
        return F.layer_norm(tokens, weight.shape, weight, bias, self.eps)


def _infer_in_pieces(branches: _Branches, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
    batch, num_slots, channels = tokens.shape
    out, size = torch.empty_like(tokens), num_slots // geometry.num_windows  # T
    for images, first, last in cut(batch, geometry.num_windows, rows_per_piece(channels) // size):
        slots = slice(first * size, last * size)
        piece, place = tokens[images, slots], out[images, slots]
        torch.add(piece, branches.attention(piece, geometry.part(first, last)), out=place)
        place += branches.mlp(place)
    return out


# A whole block as one operation of a compiled graph: of its parts a compiler makes slower code.
_LIBRARY = torch.library.Library("swinkit", "FRAGMENT")
_LIBRARY.define(
    "infer_block(Tensor tokens, SymInt num_windows, Tensor? padding, Tensor? mask, int version,"
    " int num_heads, float eps, Tensor[] norms, Tensor[] mlp_weights, Tensor qkv, Tensor? qkv_bias,"
    " Tensor out, Tensor out_bias, Tensor position_bias, float? scale, Tensor? scales) -> Tensor"
)


def _in_graph(branches: _Branches, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
    """`_infer_in_pieces`, as an operation into which a compiler does not look."""
    *weights, scale = branches.weights
    scales = (scale, None) if isinstance(scale, float) else (None, scale)
    out: Tensor = torch.ops.swinkit.infer_block(
        tokens,
        geometry.num_windows,
        geometry.padding,
        geometry.mask,
        branches.version,
        branches.num_heads,
        branches.eps,
        branches.norms,
        branches.mlp_weights,
        *weights,
        *scales,
    )
    return out


def _run_in_graph(
    tokens: Tensor,
    num_windows: int,
    padding: Tensor | None,
    mask: Tensor | None,
    version: int,
    num_heads: int,
    eps: float,
    norms: list[Tensor],
    mlp_weights: list[Tensor],
    *attention: Any,
) -> Tensor:
    *own, scale, scales = attention
    weights = AttentionWeights._make([*own, scales if scale is None else scale])
    branches = _Branches(version, num_heads, eps, norms, weights, mlp_weights)
    geometry = WindowGeometry(num_windows, padding, mask)
    return _infer_in_pieces(branches, tokens.contiguous(), geometry)


_LIBRARY.impl("infer_block", _run_in_graph, "CPU")
torch.library.register_fake(
    "swinkit::infer_block", lambda tokens, *_: tokens.new_empty(tokens.shape), lib=_LIBRARY
)
