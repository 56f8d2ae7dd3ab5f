"""Losses of the RoI heads, by hand."""

import pytest
import torch
from torch import Tensor

from swinkit.detection.boxes.geometry import BoxCoder
from swinkit.detection.network.roi_losses import box_loss, class_loss, deltas_of, mask_loss
from swinkit.detection.roi_config import RoIConfig

CODER = BoxCoder((0.1, 0.1, 0.2, 0.2))
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 15.0, 25.0], [0.0, 0.0, 4.0, 4.0]])
MATCHED = torch.tensor([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 15.0, 25.0]])
LABELS = torch.tensor([1, 0, 2])
POSITIVE = torch.tensor([True, True, False])


def loss(deltas: Tensor, **changes: object) -> Tensor:
    return box_loss(deltas, BOXES, MATCHED, LABELS, POSITIVE, CODER, RoIConfig(**changes))


def test_class_loss_is_the_mean_over_all_rois() -> None:
    logits = torch.randn(3, 3)
    wanted = -logits.log_softmax(1)[torch.arange(3), LABELS].mean()
    torch.testing.assert_close(class_loss(logits, LABELS), wanted)


def test_each_box_has_the_deltas_of_its_class() -> None:
    deltas = torch.arange(16.0).view(2, 8)
    assert deltas_of(deltas, torch.tensor([1, 0])).tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert deltas_of(deltas[:, :4], torch.tensor([1, 0])).tolist() == deltas[:, :4].tolist()


def test_l1_of_the_true_class_over_all_rois() -> None:
    deltas = torch.full((3, 8), 1e6)
    deltas[0, 4:] = 0.0
    deltas[1, :4] = 0.0
    # The first box must move down by half its height and become twice as high.
    wanted = (0.5 / 0.1 + torch.tensor(2.0).log() / 0.2) / 3
    torch.testing.assert_close(loss(deltas), wanted)
    torch.testing.assert_close(loss(deltas, box_loss_weight=2.0), 2 * wanted)


def test_smooth_l1_is_half_a_unit_less_far_away() -> None:
    deltas = torch.zeros(3, 4)
    wanted = (4.5 + torch.tensor(2.0).log() / 0.2 - 0.5) / 3
    torch.testing.assert_close(loss(deltas, box_loss="smooth_l1"), wanted)


def test_giou_of_decoded_boxes_leaves_the_image() -> None:
    right = torch.zeros(3, 4)
    right[0] = torch.tensor([0.0, 5.0, 0.0, torch.tensor(2.0).log() / 0.2])
    torch.testing.assert_close(loss(right, box_loss="giou"), torch.zeros(()), atol=1e-6, rtol=0)
    torch.testing.assert_close(loss(torch.zeros(3, 4), box_loss="giou"), torch.tensor(0.5 / 3))


@pytest.mark.parametrize("kind", ["l1", "smooth_l1", "giou"])
def test_nothing_to_learn_is_a_connected_zero(kind: str) -> None:
    deltas, logits = torch.randn(3, 8, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    none = torch.zeros(3, dtype=torch.bool)
    background = torch.full((3,), 2)
    value = box_loss(
        deltas, BOXES, torch.zeros(0, 4), background, none, CODER, RoIConfig(box_loss=kind)
    ) + class_loss(logits[:0], background[:0])
    value.backward()
    assert value == 0
    assert not deltas.grad.any()
    assert not logits.grad.any()


def test_mask_loss_of_the_own_class() -> None:
    logits, labels = torch.randn(2, 3, 4, 4), torch.tensor([2, 0])
    wanted = torch.randint(0, 2, (2, 4, 4)).float()
    own = torch.stack([logits[0, 2], logits[1, 0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(own, wanted)
    torch.testing.assert_close(mask_loss(logits, labels, wanted), expected)
    assert mask_loss(logits[:0], labels[:0], wanted[:0]) == 0
