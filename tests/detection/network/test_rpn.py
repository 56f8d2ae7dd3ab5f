"""Region proposals: what trains, what is proposed, and what happens when there is nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.detection.boxes.assignment import RandomSampler, assign
from swinkit.detection.boxes.geometry import BoxCoder, pairwise_iou
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import RPNConfig
from swinkit.detection.network.rpn import RPNHead

STRIDES = (8, 16)
ALL = (1000, 1000)


def head(**settings: float) -> RPNHead:
    return RPNHead(4, RPNConfig(scale=2, **settings), STRIDES)


def maps(images: int = 2) -> list[Tensor]:
    return [torch.randn(images, 4, 64 // stride, 96 // stride) for stride in STRIDES]


def target(boxes: list[list[float]], **more: Tensor) -> InstanceTarget:
    where = torch.tensor(boxes).reshape(-1, 4)
    return InstanceTarget(
        boxes_xyxy=where, labels=torch.zeros(len(where)).long(), size_hw=(64, 96), **more
    )


def test_outputs_and_initial_values() -> None:
    rpn = head()
    logits, deltas = rpn(maps())
    assert [tuple(level.shape) for level in logits] == [(2, 3, 8, 12), (2, 3, 4, 6)]
    assert [tuple(level.shape) for level in deltas] == [(2, 12, 8, 12), (2, 12, 4, 6)]
    assert not any(layer.bias.any() for layer in (rpn.conv, rpn.objectness, rpn.deltas))
    assert 0.005 < rpn.conv.weight.std() < 0.015


def test_losses_over_all_anchors_by_hand() -> None:
    rpn = head(num_samples=10**6, positive_fraction=1.0)
    truth = target([[10.0, 10, 40, 30], [50, 5, 70, 50]])
    outputs = rpn(maps(1))
    sizes = [(8, 12), (4, 6)]
    anchors = torch.cat(rpn.anchors(sizes))
    logits = torch.cat([level[0].permute(1, 2, 0).flatten() for level in outputs[0]])
    deltas = torch.cat([level[0].permute(1, 2, 0).reshape(-1, 4) for level in outputs[1]])
    rule = {"positive": 0.7, "negative": 0.3, "min_positive": 0.3, "low_quality": True}
    assigned = assign(anchors, truth.boxes_xyxy, **rule)
    used, found = assigned >= 0, assigned > 0
    entropy = F.binary_cross_entropy_with_logits(logits, found.float(), reduction="none")
    wanted = BoxCoder().encode(anchors[found], truth.boxes_xyxy[assigned[found] - 1])
    losses = rpn.losses(outputs, [truth], RandomSampler())
    assert losses["rpn_objectness"].item() == pytest.approx(entropy[used].mean().item(), rel=1e-5)
    box = (deltas[found] - wanted).abs().sum() / used.sum()
    assert losses["rpn_box"].item() == pytest.approx(box.item(), rel=1e-5)


@pytest.mark.parametrize("border", [-1, 0])
def test_images_without_objects_train_background_only(border: float) -> None:
    rpn = head(border=border)
    losses = rpn.losses(rpn(maps()), [target([]), target([])], RandomSampler())
    assert losses["rpn_box"] == 0
    assert losses["rpn_objectness"] > 0
    sum(losses.values()).backward()
    assert rpn.objectness.weight.grad.any()
    assert not rpn.deltas.weight.grad.any()
    assert all(weight.grad is not None for weight in rpn.parameters())


def test_an_image_all_crowd_trains_nothing_but_keeps_its_gradients() -> None:
    rpn = head()
    crowd = torch.tensor([[-500.0, -500.0, 900.0, 900.0]])
    losses = rpn.losses(rpn(maps(1)), [target([], ignored_xyxy=crowd)], RandomSampler())
    assert sum(losses.values()) == 0
    sum(losses.values()).backward()
    assert all(weight.grad is not None for weight in rpn.parameters())


def test_proposals_are_clipped_apart_sorted_and_detached() -> None:
    rpn = head(iou=0.5)
    for layer in (rpn.objectness, rpn.deltas):
        torch.nn.init.normal_(layer.weight, std=1.0)
    sizes = [(64, 96), (40, 70)]
    found = rpn.propose(rpn(maps()), sizes, pre_nms=50, max_number=20)
    for (boxes, scores), (height, width) in zip(found, sizes, strict=True):
        assert boxes.shape == (20, 4)
        assert not boxes.requires_grad
        assert (scores.diff() <= 0).all()
        assert ((scores > 0) & (scores < 1)).all()
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_overlaps_are_suppressed_within_a_level_only() -> None:
    rpn = head(ratios=(1.0,), iou=0.1)
    torch.nn.init.zeros_(rpn.deltas.weight)
    [(boxes, _)] = rpn.propose(rpn(maps(1)), [(64, 96)], *ALL)
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1)
    # The first of the coarse anchors is clipped to the size of the fine ones.
    sides[boxes[:, :2].amax(1) == 0] = 0
    assert set(sides.tolist()) >= {16.0, 32.0}
    for side in (16, 32):
        level = sides == side
        overlap = pairwise_iou(boxes[level], boxes[level]).fill_diagonal_(0)
        assert (overlap <= 0.1 + 1e-6).all()


def test_boxes_outside_the_image_are_left_out() -> None:
    rpn = head()
    for layer in (rpn.objectness, rpn.deltas):
        torch.nn.init.normal_(layer.weight, std=1.0)
    outputs = rpn(maps(1))
    [(every, _)] = rpn.propose(outputs, [(64, 96)], *ALL)
    [(boxes, scores)] = rpn.propose(outputs, [(1, 1)], *ALL)
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all()
    assert len(boxes) == len(scores) < len(every)
    far = [level - 1e4 for level in outputs[1]]
    [(none, scores)] = rpn.propose((outputs[0], far), [(64, 96)], *ALL)
    assert none.shape == (0, 4)
    assert scores.shape == (0,)


def test_half_precision_outputs() -> None:
    rpn = head()
    logits, deltas = rpn(maps(1))
    half = [level.bfloat16() for level in logits], [level.bfloat16() for level in deltas]
    [(boxes, scores)] = rpn.propose(half, [(64, 96)], *ALL)
    assert boxes.dtype == scores.dtype == torch.float32
    losses = rpn.losses(half, [target([[10.0, 10, 40, 30]])], RandomSampler())
    assert all(loss.dtype == torch.float32 for loss in losses.values())
