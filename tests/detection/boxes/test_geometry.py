"""Overlaps against torchvision where it defines them, deltas there and back, losses, chunks."""

import math

import pytest
import torch
import torchvision.ops
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.geometry import (
    MAX_LOG_RATIO,
    BoxCoder,
    chunks,
    clip,
    giou,
    giou_loss,
    l1,
    pairwise_coverage,
    pairwise_iou,
    sigmoid_focal,
    smooth_l1,
)


@given(boxes(), boxes())
@settings(deadline=None)
def test_iou_is_symmetric_and_a_proportion(first: Tensor, second: Tensor) -> None:
    overlap = pairwise_iou(first, second)
    assert overlap.shape == (len(first), len(second))
    assert torch.equal(overlap, pairwise_iou(second, first).T)
    assert (overlap >= 0).all()
    assert (overlap <= 1 + 1e-4).all()
    assert (pairwise_coverage(first, second) >= overlap - 1e-5).all()


@given(boxes(1, smallest=0.5), boxes(1, smallest=0.5))
@settings(deadline=None)
def test_boxes_with_area_are_measured_as_torchvision_does(first: Tensor, second: Tensor) -> None:
    expected = torchvision.ops.box_iou(first, second)
    assert torch.allclose(pairwise_iou(first, second), expected, atol=1e-5)
    expected = torchvision.ops.generalized_box_iou(first, second)
    pairs = giou(first.repeat_interleave(len(second), 0), second.repeat(len(first), 1))
    assert torch.allclose(pairs.view_as(expected), expected, atol=1e-4)


@given(st.data())
@settings(deadline=None)
def test_giou_is_at_most_iou(data: st.DataObject) -> None:
    first = data.draw(boxes(1, smallest=0.5))
    second = data.draw(boxes(len(first), len(first), smallest=0.5))
    generalized = giou(first, second)
    assert (generalized <= pairwise_iou(first, second).diagonal() + 1e-4).all()
    assert (generalized >= -1 - 1e-4).all()
    assert torch.allclose(giou(first, first), torch.ones(len(first)), atol=1e-4)


def test_boxes_without_area_overlap_nothing() -> None:
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    assert pairwise_iou(point, point).item() == 0
    assert pairwise_coverage(point, torch.tensor([[0.0, 0.0, 9.0, 9.0]])).item() == 0
    assert giou(point, point).isfinite().all()


def test_giou_gradient_is_finite_far_apart_and_without_area() -> None:
    first = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 4.0, 4.0]], requires_grad=True)
    giou(first, torch.tensor([[9.0, 9.0, 9.0, 9.0], [50.0, 50.0, 60.0, 60.0]])).sum().backward()
    assert first.grad is not None
    assert first.grad.isfinite().all()


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


def test_smooth_l1_meets_l1_at_beta_zero_and_is_quadratic_below() -> None:
    prediction, target = torch.tensor([0.0, 0.05, 3.0]), torch.zeros(3)
    assert torch.equal(smooth_l1(prediction, target, 0.0), l1(prediction, target))
    expected = [0.0, 0.5 * 0.05**2 * 9, 3.0 - 0.5 / 9]
    assert smooth_l1(prediction, target, 1 / 9).tolist() == pytest.approx(expected)


def test_giou_loss_is_zero_on_the_truth() -> None:
    box = torch.tensor([[1.0, 2.0, 5.0, 9.0]])
    assert giou_loss(box, box).item() == pytest.approx(0, abs=1e-6)
    assert giou_loss(box, box + 1000).item() == pytest.approx(2, abs=0.01)


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[0.3, -2.0], [1.5, 0.2]])
    losses = sigmoid_focal(logits, torch.tensor([1, 2]))
    for row, label in enumerate((1, 2)):
        for column in range(2):
            p = 1 / (1 + math.exp(-logits[row, column].item()))
            if column == label:
                expected = -0.25 * (1 - p) ** 2 * math.log(p)
            else:
                expected = -0.75 * p**2 * math.log(1 - p)
            assert losses[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_half_precision_is_computed_in_float32() -> None:
    half = torch.tensor([[4.0, -4.0]], dtype=torch.bfloat16, requires_grad=True)
    for loss in (
        sigmoid_focal(half, torch.tensor([0])),
        l1(half, torch.zeros(1, 2)),
        smooth_l1(half, torch.zeros(1, 2), 1.0),
    ):
        assert loss.dtype == torch.float32
        loss.sum().backward()
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def test_nothing_gives_a_zero_with_a_gradient() -> None:
    none = torch.zeros(0, 4, requires_grad=True)
    total = giou_loss(none, none.detach()).sum() + l1(none, none.detach()).sum()
    total = total + sigmoid_focal(none, torch.zeros(0).long()).sum()
    total.backward()
    assert total.item() == 0
    assert none.grad is not None


side = st.integers(0, 30)


@given(st.lists(st.tuples(side, side), max_size=20), st.integers(1, 2000))
def test_chunks(members: list[tuple[int, int]], limit: int) -> None:
    members.sort(key=lambda own: own[0] * own[1])
    sides = torch.tensor(members, dtype=torch.int64).reshape(-1, 2)
    seen: list[int] = []
    for run, tall, wide in chunks(sides, limit):
        places = list(range(len(members)))[run]
        seen += places
        assert all(members[place][0] <= tall and members[place][1] <= wide for place in places)
        assert len(places) == 1 or tall * wide * len(places) <= limit
    left_out = [place for place in range(len(members)) if place not in seen]
    assert all(members[place][0] * members[place][1] == 0 for place in left_out)
    assert len(seen) == len(set(seen))
