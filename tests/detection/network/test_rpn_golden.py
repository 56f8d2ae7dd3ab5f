"""FPN and RPN against mmdet's Mask R-CNN, Cascade R-CNN and HTC: raw outputs, proposals, losses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from last_bit import same_boxes
from safetensors.torch import load_file
from torch import Tensor, nn

from swinkit.detection.boxes.assignment import assign
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import RPNConfig
from swinkit.detection.network.base import FPN
from swinkit.detection.network.rpn import RPNHead

CASES = {
    "mm_maskrcnn_case1": {"border": -1, "box_beta": 0.0},
    "mm_cascade_case1": {"border": 0, "box_beta": 1 / 9},
    "mm_htc_case1": {"border": 0, "box_beta": 1 / 9},
}
TRAIN_PROPOSALS = {"mm_maskrcnn_case1": 1000, "mm_cascade_case1": 2000, "mm_htc_case1": 2000}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, golden_dir: Path) -> tuple[str, dict[str, Tensor], Any]:
    name = request.param
    notes = json.loads((golden_dir / f"{name}.json").read_text())
    return name, load_file(golden_dir / f"{name}.safetensors"), notes


def levels(golden: Mapping[str, Tensor], key: str) -> list[Tensor]:
    return [golden[f"{key}.{number}"] for number in range(5)]


def fill(layer: nn.Module, golden: Mapping[str, Tensor], name: str) -> None:
    layer.load_state_dict({key: golden[f"state.{name}.{key}"] for key in ("weight", "bias")})


def rpn_of(name: str, golden: Mapping[str, Tensor]) -> RPNHead:
    channels = golden["state.rpn_head.rpn_conv.weight"].shape[0]
    head = RPNHead(channels, RPNConfig(**CASES[name]))
    fill(head.conv, golden, "rpn_head.rpn_conv")
    fill(head.objectness, golden, "rpn_head.rpn_cls")
    fill(head.deltas, golden, "rpn_head.rpn_reg")
    return head


class Recorded:
    """Gives the indices that the reference drew, and checks the assignment they came from."""

    def __init__(self, golden: Mapping[str, Tensor]) -> None:
        self.golden = golden

    def __call__(self, assigned: Tensor, number: int, fraction: float) -> tuple[Tensor, Tensor]:
        assert (number, fraction) == (256, 0.5)
        assert torch.equal(assigned, self.golden["loss.rpn.assigned_gt_inds"].long())
        return self.golden["loss.rpn.pos_inds"], self.golden["loss.rpn.neg_inds"]


def close(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours.detach() - theirs).abs().max() <= max(1e-5 * float(theirs.std()), 5e-6))


def same_scores(ours: Tensor, theirs: Tensor) -> bool:
    """Within float32 epsilon: processors compute the exponential of a sigmoid differently."""
    return bool((ours - theirs).abs().max() <= torch.finfo(torch.float32).eps)


def test_pyramid(case: tuple[str, dict[str, Tensor], Any]) -> None:
    _, golden, _ = case
    maps = [golden[f"out.backbone.{stage}"] for stage in range(4)]
    fpn = FPN([level.shape[1] for level in maps], golden["out.fpn.0"].shape[1])
    for level in range(4):
        fill(fpn.lateral[level], golden, f"neck.lateral_convs.{level}.conv")
        fill(fpn.output[level], golden, f"neck.fpn_convs.{level}.conv")
    for ours, theirs in zip(fpn(maps), levels(golden, "out.fpn"), strict=True):
        assert close(ours, theirs)


def test_raw_outputs(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, _ = case
    logits, deltas = rpn_of(name, golden)(levels(golden, "out.fpn"))
    for ours, theirs in zip(logits, levels(golden, "out.rpn_cls"), strict=True):
        assert close(ours, theirs)
    for ours, theirs in zip(deltas, levels(golden, "out.rpn_bbox"), strict=True):
        assert close(ours, theirs)


def test_proposals_from_raw_outputs_are_exact(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, notes = case
    outputs = levels(golden, "out.rpn_cls"), levels(golden, "out.rpn_bbox")
    size_hw = tuple(notes["img_metas"]["img_shape"])
    [(boxes, scores)] = rpn_of(name, golden).propose(outputs, [size_hw], 1000, 1000)
    assert same_boxes(boxes, golden["out.proposals.bboxes"])
    assert same_scores(scores, golden["out.proposals.scores"])


def test_images_of_a_batch_do_not_touch(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, notes = case
    outputs = tuple(
        [torch.cat([level.flip(-1), level]) for level in levels(golden, key)]
        for key in ("out.rpn_cls", "out.rpn_bbox")
    )
    size_hw = tuple(notes["img_metas"]["img_shape"])
    found = rpn_of(name, golden).propose(outputs, [(50, 60), size_hw], 1000, 1000)
    assert same_boxes(found[1][0], golden["out.proposals.bboxes"])
    assert found[0][0][:, 0::2].max() <= 60
    assert found[0][0][:, 1::2].max() <= 50


def test_losses_with_the_recorded_samples(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, notes = case
    size_hw = tuple(notes["img_metas"]["img_shape"])
    target = InstanceTarget(
        boxes_xyxy=golden["loss.gt_bboxes"], labels=golden["loss.gt_labels"], size_hw=size_hw
    )
    head = rpn_of(name, golden)
    outputs = levels(golden, "out.rpn_cls"), levels(golden, "out.rpn_bbox")
    inside = head.anchors.inside(
        [tuple(level.shape[-2:]) for level in outputs[0]], size_hw, border=head.config.border
    )
    assert torch.equal(inside, golden["loss.rpn.inside_flags"].bool())
    losses = head.losses(outputs, [target], Recorded(golden))
    expected = notes["losses_logged"]
    assert losses["rpn_objectness"].item() == pytest.approx(expected["loss_rpn_cls"], abs=1e-5)
    assert losses["rpn_box"].item() == pytest.approx(expected["loss_rpn_bbox"], abs=1e-5)


def test_proposals_of_training(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, notes = case
    outputs = levels(golden, "out.rpn_cls"), levels(golden, "out.rpn_bbox")
    size_hw = tuple(notes["img_metas"]["img_shape"])
    number = TRAIN_PROPOSALS[name]
    [(boxes, scores)] = rpn_of(name, golden).propose(outputs, [size_hw], 2000, number)
    assert same_boxes(boxes, golden["loss.proposals.bboxes"])
    assert same_scores(scores, golden["loss.proposals.scores"])


def test_assignment_of_proposals(case: tuple[str, dict[str, Tensor], Any]) -> None:
    name, golden, _ = case
    assigned = assign(
        golden["loss.proposals.bboxes"],
        golden["loss.gt_bboxes"],
        positive=0.5,
        negative=0.5,
        min_positive=0.5,
        low_quality=name != "mm_cascade_case1",
    )
    assert torch.equal(assigned, golden["loss.sample0.assigned_gt_inds"].long())
