"""Losses per element against their definitions."""

import math

import pytest
import torch

from swinkit.detection.boxes.losses import giou_loss, l1, sigmoid_focal, smooth_l1


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
