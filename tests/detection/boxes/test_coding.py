"""Boxes to deltas and back."""

import torch
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.coding import MAX_LOG_RATIO, BoxCoder, clip

CODER = BoxCoder((0.1, 0.1, 0.2, 0.2))


@given(st.data())
@settings(deadline=None)
def test_decode_undoes_encode(data: st.DataObject) -> None:
    anchors = data.draw(boxes(1, 8, smallest=1.0))
    truth = data.draw(boxes(len(anchors), len(anchors), smallest=1.0))
    deltas = CODER.encode(anchors, truth)
    assert torch.allclose(CODER.decode(anchors, deltas), truth, atol=1e-3)
    # As a class-specific head gives them: every class has its own four.
    several = CODER.decode(anchors, deltas.repeat(1, 3))
    assert torch.equal(several, CODER.decode(anchors, deltas).repeat(1, 3))


@given(boxes(0, 8), st.integers(1, 60), st.integers(1, 60))
@settings(deadline=None)
def test_zero_deltas_change_nothing_and_clipping_stays_inside(
    anchors: Tensor, height: int, width: int
) -> None:
    still = CODER.decode(anchors, torch.zeros_like(anchors))
    assert torch.allclose(still, anchors, atol=1e-4)
    inside = CODER.decode(anchors, torch.randn_like(anchors) * 9, (height, width))
    assert torch.equal(inside, clip(inside, (height, width)))
    assert (inside >= 0).all()
    assert (inside <= torch.tensor([width, height, width, height])).all()


def test_sides_grow_no_further_than_the_limit() -> None:
    anchor = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    huge = BoxCoder().decode(anchor, torch.tensor([[0.0, 0.0, 99.0, -99.0]]))
    sides = huge[0, 2:] - huge[0, :2]
    assert torch.allclose(sides, torch.tensor([1000.0, 16.0 * 16 / 1000]), rtol=1e-5)
    assert abs(MAX_LOG_RATIO - 4.135166556742356) < 1e-12


def test_half_precision_comes_back_in_float32() -> None:
    anchors = torch.tensor([[1000.0, 1000.0, 1101.0, 1051.0]])
    deltas = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.bfloat16)
    decoded = CODER.decode(anchors, deltas)
    assert decoded.dtype == torch.float32
    assert torch.allclose(decoded, anchors + torch.tensor([5.05, 2.55, 5.05, 2.55]), atol=1e-2)


def test_nothing_to_code() -> None:
    none = torch.zeros(0, 4)
    assert CODER.encode(none, none).shape == (0, 4)
    assert CODER.decode(none, none, (3, 3)).shape == (0, 4)
    assert CODER.decode(none, torch.zeros(0, 20)).shape == (0, 20)
