"""Pad, cyclic shift and window partition as ONE permutation of tokens, and its inverse.

Inside a stage LayerNorm, the MLP and the residuals do not care in which order tokens stand. So the
tokens of a stage stand in window order, `B P C` with P = nW * T, and going from the plain windows
of W-MSA to the shifted windows of SW-MSA, or back, is one gather.

A size is fixed, a plain integer, or free: a symbol while a graph is made that is to take images of
any size. With free sizes this arithmetic is part of the graph, without a branch on them.

Legend: B batch, H W map, C channels, M window, T = Mh * Mw tokens per window, nW windows,
P = nW * T slots of the padded map, L = H * W tokens of the map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swinkit.settings import SizeHW


def is_fixed(*lengths: int) -> bool:
    """Whether lengths are known, as they always are outside a graph that takes any size."""
    if not torch.compiler.is_compiling() and all(isinstance(length, int) for length in lengths):
        return True
    # It brings sympy, half a second.
    from torch.fx.experimental.symbolic_shapes import has_static_value

    return all(has_static_value(length) for length in lengths)


@dataclass(frozen=True, eq=False, slots=True)
class TokenMove:
    """A gather of tokens with its inverse, so that the backward pass is a gather too.

    Attributes:
        source: the token that comes to each place. target: the place to which each token goes.
        source_holes: places that get a zero token, or None. target_holes: tokens that are dropped.
    """

    source: Tensor
    target: Tensor
    source_holes: Tensor | None
    target_holes: Tensor | None

    @staticmethod
    def of(source: Tensor, num_tokens: int, *, fixed: bool = True) -> "TokenMove":
        """The move for `source` (any shape, flattened; -1 for a hole) out of `num_tokens`.

        Unless sizes are `fixed`, holes are looked for when the graph runs.
        """
        source = source.reshape(-1)
        places = torch.arange(source.numel(), device=source.device)
        # Holes write into one spare cell behind the tokens, which is then cut off.
        cells = torch.where(source < 0, num_tokens, source)
        target = torch.full((num_tokens + 1,), -1, dtype=torch.long, device=source.device)
        target = target.scatter(0, cells, places)[:num_tokens]
        holes = [index < 0 for index in (source, target)]
        # Most maps fit their windows; then the gather needs no second pass over the tokens.
        kept = [own if not fixed or bool(own.any()) else None for own in holes]
        return TokenMove(source.clamp(min=0), target.clamp(min=0), kept[0], kept[1])


def move_tokens(tokens: Tensor, move: TokenMove) -> Tensor:
    """`B N C` tokens to the places of `move`: `B N' C`. Differentiable any number of times."""
    if not (torch.is_grad_enabled() and tokens.requires_grad):
        return _gather(tokens, move.source, move.source_holes)
    return _Move.apply(tokens, move.source, move.target, move.source_holes, move.target_holes)


def _gather(tokens: Tensor, index: Tensor, holes: Tensor | None) -> Tensor:
    gathered = tokens.index_select(1, index)
    return gathered if holes is None else gathered.masked_fill_(holes[:, None], 0.0)


class _Move(torch.autograd.Function):
    """Left to autograd, the backward of a gather is a slow scatter-add; here it is a gather."""

    generate_vmap_rule = True  # gradients of each sample

    @staticmethod
    def forward(
        tokens: Tensor,
        source: Tensor,
        target: Tensor,
        source_holes: Tensor | None,
        target_holes: Tensor | None,
    ) -> Tensor:
        return _gather(tokens, source, source_holes)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        source, target, source_holes, target_holes = ctx.saved_tensors
        moved = _Move.apply(grads[0], target, source, target_holes, source_holes)
        return moved, None, None, None, None


@dataclass(frozen=True, eq=False, slots=True)
class WindowLayout:
    """Where each token of an H x W map stands when the map is cut into (shifted) windows.

    The map is padded at bottom and right to whole windows, rolled by (-shift_h, -shift_w) and
    partitioned (paper, section 3.2 and figure 4). Windows in which the roll brings together
    tokens from opposite edges, the seam, stand last, so that only they need a mask. Where the size
    is free, windows stand row by row, and any of them may be cut.

    Attributes:
        slot_to_padded: (P,) row-major index on the padded map of the token in each slot.
        padded_to_slot: (P,) its inverse.
        num_seam: how many windows at the end hold more than one region.
        fixed: whether the size is fixed.
    """

    size_hw: SizeHW
    window_hw: SizeHW
    shift_hw: SizeHW
    padded_hw: SizeHW
    slot_to_padded: Tensor
    padded_to_slot: Tensor
    num_seam: int
    fixed: bool

    @staticmethod
    def of(
        size_hw: SizeHW,
        window_hw: SizeHW,
        shift_hw: SizeHW = (0, 0),
        device: torch.device | None = None,
        *,
        fixed: bool = True,
    ) -> "WindowLayout":
        """The layout of a map of H x W tokens; shift must be smaller than the window."""
        padded_hw = whole_windows(size_hw, window_hw)
        rows, columns = padded_hw[0] // window_hw[0], padded_hw[1] // window_hw[1]
        window_of_place = torch.arange(rows * columns, device=device)
        if is_fixed(*shift_hw) and shift_hw == (0, 0):
            num_seam = 0
        elif fixed:
            window_of_place, num_seam = _seam_last(window_of_place, (rows, columns), shift_hw)
        else:
            num_seam = rows * columns
        window_row, window_column = div_mod(window_of_place, columns)
        row = torch.arange(window_hw[0], device=device)
        column = torch.arange(window_hw[1], device=device)
        row = window_row[:, None] * window_hw[0] + row + shift_hw[0]  # nW Mh
        column = window_column[:, None] * window_hw[1] + column + shift_hw[1]  # nW Mw
        row, column = div_mod(row, padded_hw[0])[1], div_mod(column, padded_hw[1])[1]
        slot_to_padded = (row[:, :, None] * padded_hw[1] + column[:, None, :]).reshape(-1)
        padded_to_slot = torch.zeros_like(slot_to_padded).scatter(
            0, slot_to_padded, torch.arange(slot_to_padded.numel(), device=device)
        )
        return WindowLayout(
            size_hw,
            window_hw,
            shift_hw,
            padded_hw,
            slot_to_padded,
            padded_to_slot,
            num_seam,
            fixed,
        )

    @property
    def tokens_per_window(self) -> int:
        return self.window_hw[0] * self.window_hw[1]

    @property
    def num_windows(self) -> int:
        return (self.padded_hw[0] // self.window_hw[0]) * (self.padded_hw[1] // self.window_hw[1])

    @property
    def num_slots(self) -> int:
        return self.padded_hw[0] * self.padded_hw[1]

    @property
    def is_padded(self) -> bool:
        """Whether there may be padding: yes where the size is free."""
        return not self.fixed or self.padded_hw != self.size_hw

    def slot_coordinates(self) -> tuple[Tensor, Tensor]:
        """Row and column on the padded map of the token in each slot, two (P,) tensors."""
        return div_mod(self.slot_to_padded, self.padded_hw[1])

    def padding(self) -> Tensor:
        """(P,) bool: the slots that hold padding."""
        row, column = self.slot_coordinates()
        return (row >= self.size_hw[0]) | (column >= self.size_hw[1])

    def tokens_at(self, row: Tensor, column: Tensor) -> Tensor:
        """Slots of the tokens at map coordinates, -1 outside the map; any equal shapes."""
        outside = (row >= self.size_hw[0]) | (column >= self.size_hw[1])
        padded = torch.where(outside, 0, row * self.padded_hw[1] + column)
        return torch.where(outside, -1, self.padded_to_slot[padded])

    def enter(self) -> TokenMove:
        """`B L C` row-major map -> `B P C` window order; padding becomes zero tokens."""
        row, column = self.slot_coordinates()
        token = torch.where(self.padding(), -1, row * self.size_hw[1] + column)
        num_tokens = self.size_hw[0] * self.size_hw[1]
        return TokenMove.of(token, num_tokens, fixed=self.fixed)

    def leave(self) -> TokenMove:
        """`B P C` window order -> `B L C` row-major map; padding is cut off."""
        row = torch.arange(self.size_hw[0], device=self.slot_to_padded.device)
        column = torch.arange(self.size_hw[1], device=self.slot_to_padded.device)
        grid = torch.meshgrid(row, column, indexing="ij")
        return TokenMove.of(self.tokens_at(*grid), self.num_slots, fixed=self.fixed)

    def move_to(self, other: "WindowLayout") -> TokenMove:
        """`B P C` in this order -> `B P C` in the order of another layout of the same map."""
        source = self.padded_to_slot[other.slot_to_padded]
        return TokenMove.of(source, self.num_slots, fixed=self.fixed)


def _seam_last(number: Tensor, grid_hw: SizeHW, shift_hw: SizeHW) -> tuple[Tensor, int]:
    """(nW,) row-major window numbers, those cut by the seam of a shifted map moved to the end; and
    how many are cut."""
    rows, columns = grid_hw
    seam = torch.zeros_like(number, dtype=torch.bool)
    if shift_hw[0] > 0:
        seam |= number // columns == rows - 1
    if shift_hw[1] > 0:
        seam |= number % columns == columns - 1
    interior = (rows - (shift_hw[0] > 0)) * (columns - (shift_hw[1] > 0))
    return torch.argsort(seam.to(torch.int8), stable=True), rows * columns - interior


def div_mod(index: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Quotient and remainder; ONNX knows no remainder by a free size."""
    quotient = index // length
    return quotient, index - quotient * length


def ceil_div(length: int, step: int) -> int:
    """How many steps cover a length; without a negative number, which graphs divide otherwise."""
    return (length + step - 1) // step


def whole_windows(size_hw: SizeHW, window_hw: SizeHW) -> SizeHW:
    """The map padded to whole windows, in tokens."""
    rows, columns = (
        ceil_div(side, window) for side, window in zip(size_hw, window_hw, strict=True)
    )
    return rows * window_hw[0], columns * window_hw[1]
