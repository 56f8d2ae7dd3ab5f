"""Sampling of candidates, of which anything may be missing; losses of the heads, by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.assignment import RandomSampler
from swinkit.detection.boxes.geometry import BoxCoder, pairwise_iou
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.network.roi_training import (
    Sampled,
    box_loss,
    class_loss,
    deltas_of,
    is_positive,
    mask_loss,
    positives,
    sample,
    without_objects,
)
from swinkit.detection.roi_config import RoIConfig, StageConfig

NUM_CLASSES = 4


def random_boxes(number: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 60
    return torch.cat([corners, corners + 4 + torch.rand(number, 2, generator=generator) * 40], 1)


def draw(num_objects: int, num_candidates: int, seed: int, low_quality: bool) -> Sampled:
    objects = random_boxes(num_objects, seed)
    target = InstanceTarget(
        boxes_xyxy=objects,
        labels=torch.arange(num_objects) % NUM_CLASSES,
        size_hw=(100, 100),
    )
    config = RoIConfig(num_samples=16, low_quality=low_quality)
    candidates = random_boxes(num_candidates, seed + 1)
    chosen = sample(candidates, target, StageConfig(), config, NUM_CLASSES, RandomSampler())
    overlaps = pairwise_iou(chosen.boxes_xyxy, objects)
    positive = chosen.num_positive
    assert torch.equal(chosen.labels[:positive], target.labels[chosen.matched])
    assert torch.all(chosen.labels[positive:] == NUM_CLASSES)
    if num_objects:
        rows = torch.arange(positive)
        assert torch.all(overlaps[rows, chosen.matched] >= 0.5)
        assert torch.all(overlaps[positive:].amax(1) < 0.5)
        assert torch.all(overlaps[chosen.is_object].amax(1) == 1)
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(0, 60), st.integers(0, 10_000), st.booleans())
def test_samples(num_objects: int, num_candidates: int, seed: int, low_quality: bool) -> None:
    chosen = draw(num_objects, num_candidates, seed, low_quality)
    assert chosen.boxes_xyxy.shape[0] == chosen.labels.shape[0] == chosen.is_object.shape[0]
    assert chosen.boxes_xyxy.shape[0] <= 16
    assert chosen.num_positive <= 4
    assert not chosen.is_object[chosen.num_positive :].any()


def test_objects_are_candidates_and_leave_before_the_next_stage() -> None:
    some, none = draw(3, 0, 0, True), draw(0, 0, 0, True)
    assert some.num_positive == 3
    assert some.is_object.all()
    left = without_objects([some.boxes_xyxy, none.boxes_xyxy], [some, none])
    assert [boxes.shape for boxes in left] == [(0, 4), (0, 4)]
    assert is_positive([some, none]).tolist() == [True] * 3
    assert [boxes.shape[0] for boxes in positives([some, none])] == [3, 0]


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
