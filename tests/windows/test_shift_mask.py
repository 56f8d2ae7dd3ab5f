"""The mask lets two tokens attend exactly when the paper's rule says so.

The rule on the unrolled map: two tokens of a shifted window may attend when they stand to each
other on the map as they stand in the window; a pair that only the roll brought together may not.

Legend: H W map, M window, T tokens per window, nW windows, nS seam windows.
"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.windows.layout import WindowLayout
from swinkit.windows.shift_mask import (
    FORBIDDEN,
    WindowGeometry,
    region_of_slots,
    shift_mask,
)

SizeHW = tuple[int, int]
Case = tuple[SizeHW, SizeHW, SizeHW]

many = settings(max_examples=80, deadline=None)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A map of up to 300 x 300 and at most 12000 tokens, a window and a shift."""
    height = draw(st.integers(1, 300))
    width = draw(st.integers(1, min(300, 12000 // height)))
    window = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    shift = (draw(st.integers(0, window[0] - 1)), draw(st.integers(0, window[1] - 1)))
    return ((height, width) if draw(st.booleans()) else (width, height)), window, shift


def differences(coordinate: Tensor) -> Tensor:
    """`... T` -> `... T T`"""
    return coordinate[..., :, None] - coordinate[..., None, :]


def neighbors_on_the_map(layout: WindowLayout) -> Tensor:
    """(nW, T, T) bool, from map coordinates alone."""
    row, column = (c.view(layout.num_windows, -1) for c in layout.slot_coordinates())
    place = torch.arange(layout.tokens_per_window)
    own_row, own_column = place // layout.window_hw[1], place % layout.window_hw[1]
    same_row = differences(row) == differences(own_row)
    return same_row & (differences(column) == differences(own_column))


@given(cases())
@many
def test_two_tokens_attend_exactly_when_they_are_neighbors_on_the_map(case: Case) -> None:
    layout = WindowLayout.of(*case)
    expected = neighbors_on_the_map(layout)
    interior = layout.num_windows - layout.num_seam
    mask = shift_mask(layout)
    # Windows without a mask let every pair attend.
    assert expected[:interior].all()
    if mask is None:
        assert layout.num_seam == 0
        return
    assert mask.shape == (layout.num_seam, *expected.shape[1:])
    assert torch.equal(mask == 0, expected[interior:])
    assert torch.equal(mask == FORBIDDEN, ~expected[interior:])
    # A window that forbids nothing would be masked for nothing.
    assert (mask != 0).flatten(1).any(1).all()


@given(cases())
@many
def test_the_same_pairs_as_three_painted_bands_per_axis(case: Case) -> None:
    """The references number three bands on each axis of the rolled map and compare numbers."""
    _, window, shift = case
    layout = WindowLayout.of(*case)
    bands = []
    for axis in range(2):
        place = torch.arange(layout.padded_hw[axis])
        edge = layout.padded_hw[axis]
        band = (place >= edge - window[axis]).long() + (place >= edge - shift[axis]).long()
        if shift[axis] == 0:
            band = torch.zeros_like(band)
        # Onto the map that is not rolled, where the layout's coordinates live.
        bands.append(torch.roll(band, shift[axis]))
    row, column = (c.view(layout.num_windows, -1) for c in layout.slot_coordinates())
    painted = 3 * bands[0][row] + bands[1][column]
    region = region_of_slots(layout).view(layout.num_windows, -1)
    assert torch.equal(differences(painted) == 0, differences(region) == 0)


def test_figure_4_by_hand() -> None:
    """A 4 x 4 map, window 2, shift 1: one plain window, then those with C, with A, with all."""
    mask = shift_mask(WindowLayout.of((4, 4), (2, 2), (1, 1)))
    assert mask is not None
    right = [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    below = [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    corner = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    assert (mask / FORBIDDEN).long().tolist() == [right, below, corner]


def test_no_mask_without_a_shift_and_only_for_the_axis_that_shifts() -> None:
    assert shift_mask(WindowLayout.of((9, 9), (3, 3))) is None
    only_rows = shift_mask(WindowLayout.of((9, 12), (3, 3), (1, 0)))
    assert only_rows is not None
    assert only_rows.shape == (4, 9, 9)
    assert only_rows.dtype == torch.float32
    half = shift_mask(WindowLayout.of((9, 12), (3, 3), (0, 1)), torch.bfloat16)
    assert half is not None
    assert (half.shape[0], half.dtype) == (3, torch.bfloat16)


def test_part_of_a_geometry_keeps_the_mask_with_its_windows() -> None:
    layout = WindowLayout.of((7, 9), (4, 3), (2, 1))
    geometry, slots = WindowGeometry.of(layout), layout.num_slots
    assert geometry.mask is not None
    assert geometry.padding is not None
    count, tokens = geometry.num_windows, slots // geometry.num_windows
    nothing = torch.zeros(count - geometry.mask.shape[0], tokens, tokens)
    full = torch.cat([nothing, geometry.mask])
    for first in range(count):
        for last in range(first + 1, count + 1):
            part = geometry.part(first, last)
            assert part.num_windows == last - first
            assert part.padding is not None
            assert torch.equal(part.padding, geometry.padding[first * tokens : last * tokens])
            own = torch.zeros(last - first, tokens, tokens)
            if part.mask is not None:
                own[own.shape[0] - part.mask.shape[0] :] = part.mask
            assert torch.equal(own, full[first:last])
