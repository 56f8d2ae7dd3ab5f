"""WindowLayout is pad, roll and partition as one permutation; TokenMove its gather, both ways.

Legend: H W map, M window, T tokens per window, nW windows, P slots, L = H * W tokens, C channels.
"""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.windows.layout import TokenMove, WindowLayout, move_tokens

SizeHW = tuple[int, int]
Case = tuple[SizeHW, SizeHW, SizeHW]

many = settings(max_examples=80, deadline=None)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A map, a window and a shift smaller than the window."""
    size = (draw(st.integers(1, 300)), draw(st.integers(1, 300)))
    window = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    shift = (draw(st.integers(0, window[0] - 1)), draw(st.integers(0, window[1] - 1)))
    return size, window, shift


def partitioned(grid: Tensor, window: SizeHW, shift: SizeHW, fill: int) -> Tensor:
    """`H W` -> `nW T` as the official code does it: pad, roll, cut, windows row by row."""
    below, right = -grid.shape[0] % window[0], -grid.shape[1] % window[1]
    padded = F.pad(grid, (0, right, 0, below), value=fill)
    rolled = torch.roll(padded, (-shift[0], -shift[1]), (0, 1))
    rows, columns = rolled.shape[0] // window[0], rolled.shape[1] // window[1]
    cut = rolled.view(rows, window[0], columns, window[1]).transpose(1, 2)
    return cut.reshape(rows * columns, window[0] * window[1])


def numbers(size: SizeHW) -> Tensor:
    return torch.arange(size[0] * size[1]).view(size)


@given(cases())
@many
def test_slots_are_a_permutation_with_an_exact_inverse(case: Case) -> None:
    layout = WindowLayout.of(*case)
    every = torch.arange(layout.num_slots)
    assert torch.equal(layout.slot_to_padded.sort().values, every)
    assert torch.equal(layout.padded_to_slot[layout.slot_to_padded], every)
    assert torch.equal(layout.slot_to_padded[layout.padded_to_slot], every)
    assert layout.num_slots == layout.num_windows * layout.tokens_per_window
    assert layout.is_padded == bool(layout.padding().any())
    assert int((~layout.padding()).sum()) == case[0][0] * case[0][1]


@given(cases())
@many
def test_windows_are_those_of_pad_roll_partition(case: Case) -> None:
    layout = WindowLayout.of(*case)
    expected = partitioned(numbers(layout.padded_hw), case[1], case[2], fill=-1)
    ours = layout.slot_to_padded.view_as(expected)
    # The same windows, each with its tokens in the same order; only seam windows change place.
    assert torch.equal(ours[ours[:, 0].argsort()], expected[expected[:, 0].argsort()])
    interior = layout.num_windows - layout.num_seam
    kept = set(map(tuple, ours[:interior, :1].tolist()))
    row_major = [row for row in expected[:, :1].tolist() if tuple(row) in kept]
    assert ours[:interior, :1].tolist() == row_major


@given(cases())
@many
def test_seam_windows_are_those_with_wrapped_tokens_and_stand_last(case: Case) -> None:
    layout = WindowLayout.of(*case)
    row, column = (c.view(layout.num_windows, -1) for c in layout.slot_coordinates())
    tall = row.amax(1) - row.amin(1) != case[1][0] - 1
    wide = column.amax(1) - column.amin(1) != case[1][1] - 1
    # A window as tall as the map spans it whether rolled or not; its first token tells.
    seam = tall | wide | (row[:, 0] != row.amin(1)) | (column[:, 0] != column.amin(1))
    interior = layout.num_windows - layout.num_seam
    assert not seam[:interior].any()
    assert seam[interior:].all()


@given(cases())
@many
def test_enter_equals_the_reference_and_leave_brings_back(case: Case) -> None:
    size, window, shift = case
    layout = WindowLayout.of(*case)
    tokens = torch.randn(2, size[0] * size[1], 3)
    entered = move_tokens(tokens, layout.enter())
    assert entered.shape == (2, layout.num_slots, 3)
    source = partitioned(numbers(size), window, shift, fill=-1)
    ours = layout.slot_to_padded.view_as(source)
    reference = partitioned(numbers(layout.padded_hw), window, shift, fill=-1)
    place = reference[:, 0].argsort()[ours[:, 0].argsort().argsort()]
    expected = F.pad(tokens, (0, 0, 1, 0))[:, source[place].flatten() + 1]
    assert torch.equal(entered, expected)
    assert not entered[:, layout.padding()].any()
    assert torch.equal(move_tokens(entered, layout.leave()), tokens)


@given(cases())
@many
def test_from_plain_to_shifted_and_back(case: Case) -> None:
    size, window, shift = case
    plain, shifted = WindowLayout.of(size, window), WindowLayout.of(size, window, shift)
    tokens = torch.randn(1, size[0] * size[1], 2)
    in_plain, in_shifted = (move_tokens(tokens, x.enter()) for x in (plain, shifted))
    assert torch.equal(move_tokens(in_plain, plain.move_to(shifted)), in_shifted)
    assert torch.equal(move_tokens(in_shifted, shifted.move_to(plain)), in_plain)
    assert torch.equal(move_tokens(in_plain, plain.move_to(plain)), in_plain)


@given(cases())
@many
def test_tokens_at_finds_the_slot_and_says_where_there_is_none(case: Case) -> None:
    size = case[0]
    layout = WindowLayout.of(*case)
    row = torch.tensor([0, size[0] - 1, size[0], 0, size[0] + 5])
    column = torch.tensor([0, size[1] - 1, 0, size[1], size[1] + 5])
    slots = layout.tokens_at(row, column)
    assert slots[2:].tolist() == [-1, -1, -1]
    rows, columns = layout.slot_coordinates()
    assert torch.equal(rows[slots[:2]], row[:2])
    assert torch.equal(columns[slots[:2]], column[:2])


sources = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.permutations(range(count)).flatmap(
            lambda order: st.lists(st.booleans(), min_size=count, max_size=count).map(
                lambda kept: [
                    token if keep else -1 for token, keep in zip(order, kept, strict=True)
                ]
            )
        ),
    )
)


@given(sources)
@many
def test_a_move_fills_holes_with_zeros_and_drops_the_rest(case: tuple[int, list[int]]) -> None:
    count, source = case
    # Even a token that is not a number must not leak into a hole.
    tokens = torch.randn(2, count, 3)
    tokens[:, [token for token in range(count) if token not in source]] = float("nan")
    moved = move_tokens(tokens, TokenMove.of(torch.tensor(source), count))
    for place, token in enumerate(source):
        expected = tokens[:, token] if token >= 0 else torch.zeros(2, 3)
        assert torch.equal(moved[:, place], expected)


@given(sources)
@many
def test_gradient_is_that_of_autograds_gather(case: tuple[int, list[int]]) -> None:
    count, source = case
    index = torch.tensor(source)
    tokens = torch.randn(2, count, 3, requires_grad=True)
    weight = torch.randn(2, len(source), 3)
    ours = move_tokens(tokens, TokenMove.of(index, count))
    plain = F.pad(tokens, (0, 0, 1, 0))[:, index + 1]
    assert torch.equal(ours, plain)
    got = torch.autograd.grad((ours * weight).sum(), tokens)[0]
    assert torch.equal(got, torch.autograd.grad((plain * weight).sum(), tokens)[0])


def test_first_and_second_derivatives_numerically() -> None:
    layout = WindowLayout.of((3, 5), (2, 3), (1, 1))
    tokens = torch.randn(1, 15, 2, dtype=torch.float64, requires_grad=True)
    move = layout.enter()
    assert move.source_holes is not None

    def squared(values: Tensor) -> Tensor:
        return move_tokens(values, move) ** 2

    assert torch.autograd.gradcheck(squared, tokens)
    assert torch.autograd.gradgradcheck(squared, tokens)


def test_backward_is_a_gather() -> None:
    layout = WindowLayout.of((5, 5), (3, 3), (1, 1))
    tokens = torch.randn(2, 25, 4, requires_grad=True)
    moved = move_tokens(tokens, layout.enter())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        moved.sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert "aten::index_select" in names
    slow = ("index_put", "index_add", "scatter")
    assert not [name for name in names if any(word in name for word in slow)]


def test_a_layout_on_another_device_has_its_indices_there() -> None:
    layout = WindowLayout.of((5, 4), (2, 2), (1, 1), device=torch.device("meta"))
    row, column = layout.slot_coordinates()
    tokens = layout.tokens_at(row, column)
    for index in (layout.slot_to_padded, layout.padded_to_slot, layout.padding(), tokens):
        assert index.device.type == "meta"
