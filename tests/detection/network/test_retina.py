"""RetinaNet's head: initial values, losses by hand, detections by the rules."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from swinkit.backbones.variants import VARIANTS
from swinkit.detection.boxes.anchors import AnchorGrid
from swinkit.detection.boxes.geometry import BoxCoder, pairwise_iou
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.boxes.suppression import best_detections
from swinkit.detection.config import OutputConfig, RetinaNetConfig
from swinkit.detection.network.retina import RetinaHead, RetinaNet

STRIDES = (8, 16)
SIZES = [(8, 12), (4, 6)]
CLASSES = 3


def head() -> RetinaHead:
    return RetinaHead(4, CLASSES, AnchorGrid(STRIDES, scales=(2, 3), ratios=(1.0,)), num_convs=2)


def strong(retina: RetinaHead) -> RetinaHead:
    """The head with weights that give scores from near 0 to near 1."""
    for name, weight in retina.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(weight, std=0.05 if name == "deltas.weight" else 0.3)
    torch.nn.init.zeros_(retina.scores.bias)
    return retina


def maps(images: int = 1) -> list[Tensor]:
    return [torch.randn(images, 4, 64 // stride, 96 // stride) for stride in STRIDES]


def target(boxes: list[list[float]], labels: list[int]) -> InstanceTarget:
    where = torch.tensor(boxes).reshape(-1, 4)
    kinds = torch.tensor(labels, dtype=torch.int64)
    return InstanceTarget(boxes_xyxy=where, labels=kinds, size_hw=(64, 96))


def flat(levels: list[Tensor], values: int) -> Tensor:
    return torch.cat([level[0].permute(1, 2, 0).reshape(-1, values) for level in levels])


def test_published_anchors() -> None:
    backbone = replace(VARIANTS["swin_nano"].config, patch_size=4)
    grid = RetinaNet(RetinaNetConfig(backbone=backbone)).retina.anchors
    assert grid.strides == (8, 16, 32, 64, 128)
    areas = (grid.base(0)[:, 2:] - grid.base(0)[:, :2]).prod(1).sqrt()
    assert areas[:3].tolist() == pytest.approx([32.0, 40.317, 50.797], abs=1e-3)
    assert grid.anchors_per_place == 9


def test_outputs_names_and_prior() -> None:
    retina = head()
    logits, deltas = retina([torch.zeros(1, 4, 3, 3)])
    assert logits[0].shape == (1, 2 * CLASSES, 3, 3)
    assert deltas[0].shape == (1, 8, 3, 3)
    assert torch.allclose(logits[0].sigmoid(), torch.tensor(0.01))
    assert {"class_convs.0.weight", "box_convs.1.bias", "scores.weight", "deltas.bias"} <= set(
        retina.state_dict()
    )


def test_losses_by_hand() -> None:
    retina = head()
    truth = target([[10.0, 10, 30, 31], [41, 8, 70, 40]], [2, 0])
    logits, deltas = retina(maps())
    anchors = torch.cat(retina.anchors(SIZES))
    overlap = pairwise_iou(truth.boxes_xyxy, anchors)
    most, which = overlap.max(0)
    positive = most >= 0.5
    for number in range(2):
        best = overlap[number] == overlap[number].max()
        positive, which = positive | best, torch.where(best, number, which)
    used = positive | (most < 0.4)
    wanted = torch.zeros(len(anchors), CLASSES)
    wanted[positive, truth.labels[which[positive]]] = 1
    focal = sigmoid_focal_loss(flat(logits, CLASSES), wanted, 0.25, 2.0)[used].sum()
    offsets = BoxCoder().encode(anchors[positive], truth.boxes_xyxy[which[positive]])
    box = (flat(deltas, 4)[positive] - offsets).abs().sum()
    losses = retina.losses((logits, deltas), [truth])
    assert losses["class"].item() == pytest.approx((focal / positive.sum()).item(), rel=1e-5)
    assert losses["box"].item() == pytest.approx((box / positive.sum()).item(), rel=1e-5)


def test_images_without_objects() -> None:
    retina = head()
    losses = retina.losses(retina(maps(2)), [target([], []), target([], [])])
    assert losses["box"] == 0
    assert losses["class"] > 0
    sum(losses.values()).backward()
    assert all(weight.grad is not None for weight in retina.parameters())


def test_detections_follow_the_rules() -> None:
    retina = strong(head())
    outputs = retina(maps(2))
    sizes = [(64, 96), (50, 80)]
    output = OutputConfig(max_per_image=15)
    for image, candidates in enumerate(retina.candidates(outputs, sizes, 1000, 0.3)):
        found = best_detections(candidates, output)
        boxes, scores, labels = found.boxes_xyxy, found.scores, found.labels
        assert len(boxes) == 15
        assert (scores.diff() <= 0).all()
        assert (scores > 0.3).all()
        height, width = sizes[image]
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()
        own = flat([level[image : image + 1] for level in outputs[0]], CLASSES).sigmoid()
        distance = (own[:, labels] - scores).abs()
        rows = distance.argmin(0)
        assert distance.amin(0).max() < 1e-6
        moves = flat([level[image : image + 1] for level in outputs[1]], 4)
        anchors = torch.cat(retina.anchors(SIZES))
        wanted = BoxCoder().decode(anchors[rows], moves[rows], sizes[image])
        assert torch.allclose(boxes, wanted, atol=1e-4)
        same = labels[:, None] == labels[None]
        overlap = pairwise_iou(boxes, boxes).fill_diagonal_(0)
        assert (overlap[same] <= 0.5 + 1e-6).all()


def test_only_the_best_of_each_level_are_looked_at() -> None:
    retina = strong(head())
    outputs = retina(maps())
    [found] = retina.candidates(outputs, [(64, 96)], 5, 0.05)
    assert len(found) == 10
    first = outputs[0][0][0].permute(1, 2, 0).sigmoid().flatten().topk(5).values
    assert torch.allclose(found.scores[:5], first)
    assert found.labels.max() < CLASSES


def test_nothing_scores_enough() -> None:
    retina = head()
    [found] = retina.candidates(retina(maps()), [(64, 96)], 1000, 0.9)
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)
