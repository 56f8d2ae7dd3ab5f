"""IoU, coverage and generalised IoU, against torchvision where it defines them."""

import torch
import torchvision.ops
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.overlap import giou, pairwise_coverage, pairwise_iou


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
    generalised = giou(first, second)
    assert (generalised <= pairwise_iou(first, second).diagonal() + 1e-4).all()
    assert (generalised >= -1 - 1e-4).all()
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
