"""Pad, cyclic shift and window partition as ONE permutation of tokens, and its inverse.

Inside a stage LayerNorm, the MLP and the residuals do not care in which order tokens stand. So the
tokens of a stage stand in window order, `B P C` with P = nW * T, and going from the plain windows
of W-MSA to the shifted windows of SW-MSA, or back, is one gather.

Legend: B batch, H W map, C channels, M window, T = Mh * Mw tokens per window, nW windows,
P = nW * T slots of the padded map, L = H * W tokens of the map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swinkit.settings import SizeHW


@dataclass(frozen=True, eq=False)
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
    def of(source: Tensor, num_tokens: int) -> "TokenMove":
        """The move for `source` (any shape, flattened; -1 for a hole) out of `num_tokens`."""
        source = source.reshape(-1)
        places = torch.arange(source.numel(), device=source.device)
        # Holes write into one spare cell behind the tokens, which is then cut off.
        cells = torch.where(source < 0, num_tokens, source)
        target = torch.full((num_tokens + 1,), -1, dtype=torch.long, device=source.device)
        target = target.scatter(0, cells, places)[:num_tokens]
        return TokenMove(source.clamp(min=0), target.clamp(min=0), _holes(source), _holes(target))


def _holes(index: Tensor) -> Tensor | None:
    holes = index < 0
    # Most maps fit their windows; then the gather needs no second pass over the tokens.
    return holes if torch.compiler.is_compiling() or bool(holes.any()) else None


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


@dataclass(frozen=True, eq=False)
class WindowLayout:
    """Where each token of an H x W map stands when the map is cut into (shifted) windows.

    The map is padded at bottom and right to whole windows, rolled by (-shift_h, -shift_w) and
    partitioned (paper, section 3.2 and figure 4). Windows in which the roll brings together
    tokens from opposite edges, the seam, stand last, so that only they need a mask.

    Attributes:
        slot_to_padded: (P,) row-major index on the padded map of the token in each slot.
        padded_to_slot: (P,) its inverse.
        num_seam: how many windows at the end hold more than one region.
    """

    size_hw: SizeHW
    window_hw: SizeHW
    shift_hw: SizeHW
    padded_hw: SizeHW
    slot_to_padded: Tensor
    padded_to_slot: Tensor
    num_seam: int

    @staticmethod
    def of(
        size_hw: SizeHW,
        window_hw: SizeHW,
        shift_hw: SizeHW = (0, 0),
        device: torch.device | None = None,
    ) -> "WindowLayout":
        """The layout of a map of H x W tokens; shift must be smaller than the window."""
        rows, columns = (
            -(-size_hw[0] // window_hw[0]),
            -(-size_hw[1] // window_hw[1]),
        )
        padded_hw = (rows * window_hw[0], columns * window_hw[1])
        window_of_place = _seam_last(rows, columns, shift_hw, device)
        window_row, window_column = window_of_place // columns, window_of_place % columns
        row = torch.arange(window_hw[0], device=device)
        column = torch.arange(window_hw[1], device=device)
        row = window_row[:, None] * window_hw[0] + row + shift_hw[0]  # nW Mh
        column = window_column[:, None] * window_hw[1] + column + shift_hw[1]  # nW Mw
        row, column = row % padded_hw[0], column % padded_hw[1]
        slot_to_padded = (row[:, :, None] * padded_hw[1] + column[:, None, :]).reshape(-1)
        padded_to_slot = torch.empty_like(slot_to_padded).scatter_(
            0, slot_to_padded, torch.arange(slot_to_padded.numel(), device=device)
        )
        # A bool times an int keeps symbolic sizes symbolic.
        interior = (rows - (shift_hw[0] > 0)) * (columns - (shift_hw[1] > 0))
        return WindowLayout(
            size_hw,
            window_hw,
            shift_hw,
            padded_hw,
            slot_to_padded,
            padded_to_slot,
            rows * columns - interior,
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
        return self.padded_hw != self.size_hw

    def slot_coordinates(self) -> tuple[Tensor, Tensor]:
        """Row and column on the padded map of the token in each slot, two (P,) tensors."""
        width = self.padded_hw[1]
        return self.slot_to_padded // width, self.slot_to_padded % width

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
        return TokenMove.of(token, self.size_hw[0] * self.size_hw[1])

    def leave(self) -> TokenMove:
        """`B P C` window order -> `B L C` row-major map; padding is cut off."""
        row = torch.arange(self.size_hw[0], device=self.slot_to_padded.device)
        column = torch.arange(self.size_hw[1], device=self.slot_to_padded.device)
        grid = torch.meshgrid(row, column, indexing="ij")
        return TokenMove.of(self.tokens_at(*grid), self.num_slots)

    def move_to(self, other: "WindowLayout") -> TokenMove:
        """`B P C` in this order -> `B P C` in the order of another layout of the same map."""
        return TokenMove.of(self.padded_to_slot[other.slot_to_padded], self.num_slots)


def _seam_last(rows: int, columns: int, shift_hw: SizeHW, device: torch.device | None) -> Tensor:
    """(nW,) row-major window numbers, those cut by the seam of a shifted map at the end."""
    number = torch.arange(rows * columns, device=device)
    if shift_hw == (0, 0):
        return number
    seam = torch.zeros_like(number, dtype=torch.bool)
    if shift_hw[0] > 0:
        seam |= number // columns == rows - 1
    if shift_hw[1] > 0:
        seam |= number % columns == columns - 1
    return torch.argsort(seam.to(torch.int8), stable=True)
