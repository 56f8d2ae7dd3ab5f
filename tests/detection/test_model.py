"""Detectors of every kind, small: detections, losses, and batches with nothing in them."""

import copy
import inspect
import pydoc
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import (
    KINDS,
    DetectorConfig,
    OutputConfig,
    RCNNConfig,
    RetinaHeadConfig,
    RetinaNetConfig,
    RPNConfig,
    default_roi,
    default_rpn,
)
from swinkit.detection.model import SwinDetector
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, RoIConfig, SemanticConfig
from swinkit.errors import ConfigError

NUM_CLASSES = 3
from_config = SwinDetector.from_config
BACKBONE = SwinConfig(
    embed_dim=8,
    depths=(1, 2, 1, 1),
    num_heads=(1, 1, 2, 2),
    window_size=4,
    norm_stages=(0, 1, 2, 3),
    small_map_rule="keep",
)
SEMANTIC = SemanticConfig(num_classes=NUM_CLASSES + 1, channels=8, num_convs=1)


def small(kind: str, **roi_changes: Any) -> DetectorConfig:
    """A detector of that kind with a hundredth of the channels."""
    if kind == "retinanet":
        return RetinaNetConfig(
            backbone=BACKBONE,
            num_classes=NUM_CLASSES,
            fpn_channels=16,
            retina=RetinaHeadConfig(num_convs=1),
        )
    published = default_roi(kind)
    box = published.box
    roi = replace(
        published,
        box=replace(box, num_convs=min(box.num_convs, 1), conv_channels=16, fc_channels=16),
        mask=None if published.mask is None else replace(published.mask, num_convs=1, channels=16),
        semantic=SEMANTIC if kind == "htc" else None,
        num_samples=24,
    )
    rpn = replace(default_rpn(kind), train_proposals=40, test_proposals=30, num_samples=32)
    return RCNNConfig(
        backbone=BACKBONE,
        kind=kind,
        num_classes=NUM_CLASSES,
        fpn_channels=16,
        rpn=rpn,
        roi=replace(roi, **roi_changes),
        output=OutputConfig(score_threshold=0.0, max_per_image=10),
    )


def target(*boxes: tuple[float, float, float, float], masks: bool = True) -> InstanceTarget:
    painted = torch.zeros(len(boxes), 64, 96, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(painted, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return InstanceTarget(
        boxes_xyxy=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.arange(len(boxes)) % NUM_CLASSES,
        size_hw=(64, 96),
        masks=painted if masks else None,
    )


SOME = target((4, 4, 40, 36), (50, 10, 90, 60))
NONE = target()


def images(number: int = 2) -> Tensor:
    return torch.randn(number, 3, 64, 96)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_detections_lie_in_their_images(kind: str) -> None:
    detector = from_config(small(kind)).eval()
    sizes = [(64, 96), (50, 70)]
    found = detector(images(), sizes, OutputConfig(score_threshold=0.0, max_per_image=10))
    for own, (height, width) in zip(found, sizes, strict=True):
        assert 0 < len(own) <= 10
        assert own.boxes_xyxy.shape == (len(own), 4)
        assert own.boxes_xyxy.min() >= 0
        assert own.boxes_xyxy[:, 2].max() <= width
        assert own.boxes_xyxy[:, 3].max() <= height
        assert torch.equal(own.scores, own.scores.sort(descending=True).values)
        assert own.labels.max() < NUM_CLASSES
        if detector.config.has_masks:
            assert own.mask_probabilities.shape == (len(own), 28, 28)
        else:
            assert own.mask_probabilities is None


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_no_detections(kind: str) -> None:
    detector = from_config(small(kind)).eval()
    for own in detector(images(), None, OutputConfig(score_threshold=1.0)):
        assert len(own) == 0
        if detector.config.has_masks:
            assert own.mask_probabilities.shape == (0, 28, 28)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mask_rcnn", "cascade_mask_rcnn", "htc"])
def test_no_proposals(kind: str) -> None:
    config = small(kind)
    detector = from_config(replace(config, rpn=replace(config.rpn, test_proposals=0))).eval()
    assert [len(own) for own in detector(images())] == [0, 0]


def expected_losses(kind: str) -> set[str]:
    if kind == "retinanet":
        return {"class", "box"}
    stages = 1 if kind in ("faster_rcnn", "mask_rcnn") else 3
    parts = ("class", "box", "mask") if "mask" in kind or kind == "htc" else ("class", "box")
    names = {f"s{stage}_{part}" for stage in range(stages) for part in parts}
    return names | {"rpn_objectness", "rpn_box"} | ({"semantic"} if kind == "htc" else set())


@pytest.mark.parametrize(
    "targets", [[SOME, NONE], [NONE, NONE], [SOME, SOME]], ids=["one empty", "all empty", "none"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_gets_a_finite_gradient(kind: str, targets: list[InstanceTarget]) -> None:
    detector = from_config(small(kind)).train()
    losses = detector.losses(images(), targets)
    assert set(losses) == expected_losses(kind)
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("kind", ["mask_rcnn", "cascade_mask_rcnn", "htc"])
def test_neither_objects_nor_proposals(kind: str) -> None:
    config = small(kind)
    detector = from_config(replace(config, rpn=replace(config.rpn, train_proposals=0))).train()
    losses = detector.losses(images(), [NONE, NONE])
    assert losses["s0_class"] == losses["s0_box"] == losses["s0_mask"] == 0
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())


def test_images_without_objects_need_no_masks() -> None:
    detector = from_config(small("mask_rcnn")).train()
    losses = detector.losses(images(), [target(masks=False), SOME])
    assert losses["s0_mask"] > 0


@pytest.mark.parametrize("kind", ["mask_rcnn", "htc"])
def test_objects_without_masks(kind: str) -> None:
    detector = from_config(small(kind, semantic=None)).train()
    boxes_only = target((4, 4, 40, 36), masks=False)
    with pytest.raises(ConfigError, match="the data has boxes only"):
        detector.losses(images(1), [boxes_only])


def test_numbers_that_do_not_fit() -> None:
    detector = from_config(small("mask_rcnn"))
    with pytest.raises(ConfigError, match="1 targets for a batch of 2"):
        detector.losses(images(), [SOME])
    with pytest.raises(ConfigError, match="3 sizes for a batch of 2"):
        detector(images(), [(64, 96)] * 3)


@pytest.mark.parametrize("norm", ["none", "batch", "sync_batch", "group"])
def test_norms_of_box_heads(norm: str) -> None:
    box = BoxHeadConfig(num_convs=1, conv_channels=32, num_fcs=1, fc_channels=16, norm=norm)
    detector = from_config(small("cascade_mask_rcnn", box=box)).train()
    losses = detector.losses(images(), [SOME, NONE])
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize("kind", ["retinanet", "mask_rcnn", "htc"])
def test_lower_precision(kind: str) -> None:
    detector = from_config(small(kind))
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector.train().losses(images(), [SOME, NONE])
        with torch.no_grad():
            (found, _) = detector.eval()(images())
    assert all(value.dtype == torch.float32 for value in losses.values())
    assert all(value.isfinite() for value in losses.values())
    assert found.boxes_xyxy.dtype == found.scores.dtype == torch.float32


def test_semantic_maps_replace_painted_ones() -> None:
    detector = from_config(small("htc")).train()
    batch = images(1)
    painted = detector.losses(batch, [SOME])["semantic"]
    labels = torch.full((1, 64, 96), 255)
    assert detector.losses(batch, [SOME], semantic_maps=labels)["semantic"] == 0 < painted


def test_losses_fall_and_the_object_is_found() -> None:
    """A few steps on one picture: its square is found, with its mask."""
    config = small("mask_rcnn", box=BoxHeadConfig(fc_channels=64), num_samples=64)
    detector = from_config(replace(config, rpn=RPNConfig(train_proposals=100, scale=4)))
    picture = torch.zeros(1, 3, 64, 96)
    picture[:, :, 12:44, 24:56] = 2.0
    wanted = target((24, 12, 56, 44))
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    totals = []
    for _ in range(60):
        total = torch.stack(list(detector.train().losses(picture, [wanted]).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.5 * totals[0]
    with torch.no_grad():
        (found,) = detector.eval()(picture, None, OutputConfig(max_per_image=1))
    assert found.labels.tolist() == [0]
    assert (found.boxes_xyxy[0] - wanted.boxes_xyxy[0]).abs().max() < 6


def test_copies_are_independent() -> None:
    detector = from_config(small("htc")).eval()
    other = copy.deepcopy(detector)
    torch.nn.init.zeros_(other.box_heads[0].scores.weight)
    assert detector.box_heads[0].scores.weight.any()


def test_printed_model_says_what_it_is() -> None:
    assert "mask_rcnn, 3 classes" in repr(from_config(small("mask_rcnn")))
    detector = from_config(small("mask_rcnn"))
    assert detector.depths == (1, 2, 1, 1)
    assert detector.class_names == ("class 0", "class 1", "class 2")


def test_names_of_weights() -> None:
    names = {name.split(".")[0] for name in from_config(small("htc")).state_dict()}
    assert names == {"backbone", "fpn", "rpn", "box_heads", "mask_heads", "semantic"}
    names = {name.split(".")[0] for name in from_config(small("retinanet")).state_dict()}
    assert names == {"backbone", "fpn", "retina"}


def test_masks_of_one_stage_or_of_all() -> None:
    config = small("htc")
    roi = config.roi
    assert isinstance(roi, RoIConfig)
    assert isinstance(roi.mask, MaskHeadConfig)
    mean = from_config(config).eval()
    last = from_config(replace(config, roi=replace(roi, mask=replace(roi.mask, merge="last"))))
    last.load_state_dict(mean.state_dict())
    batch = images(1)
    with torch.no_grad():
        (one,), (other,) = mean(batch), last.eval()(batch)
    assert torch.equal(one.boxes_xyxy, other.boxes_xyxy)
    assert not torch.allclose(one.mask_probabilities, other.mask_probabilities)


def test_predict_says_what_it_takes() -> None:
    whole, one_by_one = (
        inspect.signature(method).parameters
        for method in (SwinDetector.predict, SwinDetector.predict_iter)
    )
    assert list(whole.items()) == list(one_by_one.items())
    help_text = pydoc.render_doc(SwinDetector.predict, renderer=pydoc.plaintext)
    assert "predict(self, source" in " ".join(help_text.split())
    for name in list(whole)[1:]:
        assert f"{name}: " in help_text.split("Args:")[1]
