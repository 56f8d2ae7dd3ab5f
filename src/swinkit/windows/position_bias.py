"""Relative position bias: V1's learned table, V2's continuous log-spaced MLP, and their transfer.

Legend: M window (Mh, Mw), T = Mh * Mw tokens per window, N heads.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.settings import SizeHW

V2_HIDDEN = 512
V2_RANGE = 8.0
V2_BIAS_SCALE = 16.0


def relative_position_index(window_hw: SizeHW) -> Tensor:
    """(T, T) row of the bias table for each query, key pair.

    Query (y, x) and key (y', x') use row (y - y' + Mh - 1) * (2 Mw - 1) + (x - x' + Mw - 1).
    """
    row = torch.arange(window_hw[0])
    column = torch.arange(window_hw[1])
    row_offset = row[:, None] - row[None, :] + window_hw[0] - 1  # Mh Mh
    column_offset = column[:, None] - column[None, :] + window_hw[1] - 1  # Mw Mw
    index = row_offset[:, None, :, None] * (2 * window_hw[1] - 1) + column_offset[None, :, None, :]
    tokens = window_hw[0] * window_hw[1]
    return index.reshape(tokens, tokens)


def log_spaced_coordinates(window_hw: SizeHW, pretrained_hw: SizeHW = (0, 0)) -> Tensor:
    """(2 Mh - 1, 2 Mw - 1, 2) relative coordinates of V2 (2111.09883, equation 4), float32.

    Offsets are scaled to [-8, 8] by the window that the MLP was trained on (this one when
    `pretrained_hw` is (0, 0)), then sign(x) * log2(1 + |x|) / log2(8).
    """
    scale_h, scale_w = window_hw if pretrained_hw == (0, 0) else pretrained_hw
    row = torch.arange(1 - window_hw[0], window_hw[0], dtype=torch.float32)
    column = torch.arange(1 - window_hw[1], window_hw[1], dtype=torch.float32)
    # A window of one token has the single offset 0, whatever the scale.
    row = row / max(scale_h - 1, 1) * V2_RANGE
    column = column / max(scale_w - 1, 1) * V2_RANGE
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij"), dim=-1)
    return torch.sign(grid) * torch.log2(grid.abs() + 1.0) / math.log2(V2_RANGE)


class PositionBias(nn.Module):
    """What V1's table and V2's MLP share: the (N, T, T) bias of one block."""

    index: Tensor

    def __init__(self, window_hw: SizeHW) -> None:
        super().__init__()
        self.window_hw = window_hw
        tokens = window_hw[0] * window_hw[1]
        index = torch.empty(tokens, tokens, dtype=torch.int64)
        self.register_buffer("index", index, persistent=False)

    def table_rows(self) -> Tensor:
        """((2 Mh - 1)(2 Mw - 1), N) bias of each relative position."""
        raise TypeError(f"{type(self).__name__} does not say where its bias comes from")

    def forward(self) -> Tensor:
        """(N, T, T) bias, differentiable."""
        tokens = self.index.shape[0]
        # An embedding's backward is one sum per table row.
        bias = F.embedding(self.index.view(-1), self.table_rows())  # T*T N
        return bias.view(tokens, tokens, -1).permute(2, 0, 1)

    def current(self, dtype: torch.dtype) -> Tensor:
        """(N, T, T) bias in `dtype`."""
        return self().to(dtype)

    def _apply(self, *args: Any, **kwargs: Any) -> "PositionBias":
        was_meta = self.index.is_meta
        super()._apply(*args, **kwargs)
        if was_meta:
            self._fill_constants()
        return self

    def _fill_constants(self) -> None:
        """Compute what no file holds: at the start, or after `to_empty` gave memory to "meta"."""
        # On "meta" even torch.arange imports the compiler, a second of every `load`.
        if not self.index.is_meta:
            self.index.copy_(relative_position_index(self.window_hw))


class PositionBiasTable(PositionBias):
    """V1: B = table[index], a (2 Mh - 1)(2 Mw - 1) x N table learned per block (equation 4).

    Source: relative_position_bias_table in models/swin_transformer.py of the official repository.
    """

    def __init__(self, window_hw: SizeHW, num_heads: int) -> None:
        super().__init__(window_hw)
        self._fill_constants()
        rows = (2 * window_hw[0] - 1) * (2 * window_hw[1] - 1)
        self.table = nn.Parameter(torch.empty(rows, num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def table_rows(self) -> Tensor:
        return self.table


class PositionBiasMLP(PositionBias):
    """V2: B = 16 sigmoid(MLP(log-spaced coordinates)), the same MLP for any window.

    The bias is kept while it is a constant, that is in eval mode with gradients off: computing it
    takes 2 to 4% of an image's time. It is dropped when a parameter is replaced or written to (its
    version counter tells), by a forward with gradients, on `train()` and `eval()`, and when the
    module moves. A write through `parameter.data` goes unseen by the counter: call `eval()` after
    it.

    Source: 2111.09883 section 3.3 and cpb_mlp in models/swin_transformer_v2.py.
    """

    coordinates: Tensor

    def __init__(self, window_hw: SizeHW, num_heads: int, pretrained_hw: SizeHW = (0, 0)) -> None:
        super().__init__(window_hw)
        self.mlp = nn.Sequential(
            nn.Linear(2, V2_HIDDEN), nn.ReLU(), nn.Linear(V2_HIDDEN, num_heads, bias=False)
        )
        self.pretrained_hw = pretrained_hw
        rows = (2 * window_hw[0] - 1) * (2 * window_hw[1] - 1)
        self.register_buffer("coordinates", torch.empty(rows, 2), persistent=False)
        self._fill_constants()
        # What the bias was computed from, by version and as such, and the bias.
        self._kept: tuple[list[Any], list[nn.Parameter], Tensor] | None = None

    def table_rows(self) -> Tensor:
        # Rounding a bias of up to 16 to half precision would move it by 0.06.
        with torch.autocast(self.coordinates.device.type, enabled=False):
            return V2_BIAS_SCALE * torch.sigmoid(self.mlp(self.coordinates))

    def current(self, dtype: torch.dtype) -> Tensor:
        """(N, T, T) bias in `dtype`, kept between calls while it cannot change."""
        if torch.compiler.is_compiling():
            return super().current(dtype)
        if self.training or torch.is_grad_enabled():
            # An optimizer's step may follow, and a fused one leaves the version counters alone.
            self._kept = None
            return super().current(dtype)
        parameters = list(self.parameters())
        versions: list[Any] = [dtype]
        for parameter in parameters:
            version = 0 if parameter.is_inference() else parameter._version
            versions.append((id(parameter), parameter.data_ptr(), version))
        if self._kept is None or self._kept[0] != versions:
            with torch.inference_mode(False), torch.no_grad():
                # The parameters are held so that no other can take over their identity.
                self._kept = (versions, parameters, super().current(dtype).contiguous())
        return self._kept[-1]

    def train(self, mode: bool = True) -> "PositionBiasMLP":
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the kept bias behind."""
        return {**self.__dict__, "_kept": None}

    def _apply(self, *args: Any, **kwargs: Any) -> "PositionBiasMLP":
        self._kept = None
        super()._apply(*args, **kwargs)
        return self

    def _fill_constants(self) -> None:
        super()._fill_constants()
        if not self.coordinates.is_meta:
            coordinates = log_spaced_coordinates(self.window_hw, self.pretrained_hw)
            self.coordinates.copy_(coordinates.view(-1, 2))


def resize_bias_table(table: Tensor, window_hw: SizeHW, new_window_hw: SizeHW) -> Tensor:
    """V1's table moved to another window by bicubic interpolation, as the official loader does.

    Args:
        table: ((2 Mh - 1)(2 Mw - 1), N) table of `window_hw`.

    Returns:
        The table of `new_window_hw`; `table` itself where the windows are equal.
    """
    if window_hw == new_window_hw:
        return table
    grid = table.T.reshape(1, -1, 2 * window_hw[0] - 1, 2 * window_hw[1] - 1).float()
    size = (2 * new_window_hw[0] - 1, 2 * new_window_hw[1] - 1)
    grid = F.interpolate(grid, size=size, mode="bicubic", align_corners=False)
    return grid.flatten(2)[0].T.contiguous().to(table.dtype)


LEAST_GROWTH, MOST_GROWTH = 1.01, 1.5  # of the geometric grid's steps
GROWTH_PRECISION = 1e-6


def resize_bias_table_geometric(table: Tensor, window_hw: SizeHW, new_window_hw: SizeHW) -> Tensor:
    """V1's table moved to another window as SimMIM's fine-tuning does it.

    The old offsets are taken for 0, 1, 1 + q, 1 + q + q^2, ... and their negatives, with the q by
    which they reach as far as the new ones; a cubic spline through them is read at the new offsets.
    So the bias of near tokens stays what it was.

    Arguments and result are those of `resize_bias_table`.
    Source: remap_pretrained_keys_swin in utils_simmim.py of the official repository.
    """
    if window_hw == new_window_hw:
        return table
    rows, columns = (
        _spline_matrix(2 * old - 1, 2 * new - 1)
        for old, new in zip(window_hw, new_window_hw, strict=True)
    )
    grid = table.double().reshape(2 * window_hw[0] - 1, 2 * window_hw[1] - 1, -1)
    moved = torch.einsum("yh,xw,hwn->yxn", rows, columns, grid)
    return moved.flatten(0, 1).contiguous().to(table.dtype)


def _spline_matrix(old: int, new: int) -> Tensor:
    """(new, old) float64: values at the new offsets of one axis from those at the old ones."""
    if old in (1, new):
        return torch.ones(new, 1, dtype=torch.float64) if old == 1 else torch.eye(old).double()
    # Imported here because it takes half a second that few need.
    from scipy.interpolate import CubicSpline

    growth = _geometric_growth(old, new)
    steps = [growth**power for power in range(old // 2)]
    reach = [sum(steps[: count + 1]) for count in range(old // 2)]
    places = [*(-place for place in reversed(reach)), 0.0, *reach]
    targets = [min(max(float(t), places[0]), places[-1]) for t in range(-(new // 2), new // 2 + 1)]
    spline = CubicSpline(places, torch.eye(old, dtype=torch.float64).numpy(), bc_type="not-a-knot")
    return torch.from_numpy(spline(targets))


def _geometric_growth(old: int, new: int) -> float:
    """q with 1 + q + q^2 + ... = new // 2 over old // 2 terms, by bisection."""
    low, high, growth = LEAST_GROWTH, MOST_GROWTH, LEAST_GROWTH
    while high - low > GROWTH_PRECISION:
        growth = (low + high) / 2
        if sum(growth**power for power in range(old // 2)) > new // 2:
            high = growth
        else:
            low = growth
    return growth
