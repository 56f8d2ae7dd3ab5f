"""OpenMMLab: the order of its patch merging, and recorded configurations: read, never run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from dense_peers import detector

from swinkit.checkpoints.convert import export_tensors
from swinkit.checkpoints.load import load
from swinkit.checkpoints.sources.openmmlab import from_unfold, to_unfold
from swinkit.checkpoints.unpickling import LONGEST_TEXT, read_assignment
from swinkit.detection.config import Suppression

TEXT = """
_base_ = ['a.py']
num = 3 * 5
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(anchor_generator=dict(scales=[4], ratios=[0.5, 1.0, 2.0])),
    roi_head=dict(
        bbox_head=[
            dict(bbox_coder=dict(target_stds=[0.2, 0.2, 0.4, 0.4])),
            dict(bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2])),
            {'bbox_coder': {'target_stds': (0.05, 0.05, 0.1, 0.1)}},
        ]),
    test_cfg=dict(
        rpn=dict(nms_pre=20, max_per_img=7),
        rcnn=dict(
            score_thr=0.001,
            nms=dict(type='soft_nms', iou_threshold=0.4, method='gaussian', min_score=0.01),
            max_per_img=30)))
optimizer = open('/etc/passwd')
"""


@pytest.mark.parametrize("key", ["config", "cfg"])
def test_stds_and_output_come_from_the_record(key: str) -> None:
    state = export_tensors(detector("cascade_rcnn"), "mmdet", (224, 224))
    reports: list[Any] = []
    source = {"meta": {key: TEXT}, "state_dict": state}
    config = load(source, strict=True, report=reports.append).config
    assert [stage.stds[0] for stage in config.roi.stages] == [0.2, 0.1, 0.05]  # type: ignore[union-attr]
    rpn = config.rpn  # type: ignore[union-attr]
    assert (rpn.scale, rpn.test_pre_nms, rpn.test_proposals) == (4.0, 20, 7)
    output = config.output  # type: ignore[union-attr]
    assert (output.score_threshold, output.max_per_image) == (0.001, 30)
    assert output.suppression == Suppression(method="gaussian", iou=0.4, min_score=0.01)
    assert "recorded configuration" in str(reports[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model = (",
        "model = build()",
        "model = dict(roi_head=3, test_cfg=dict(rcnn=[1]))",
        "model = dict(roi_head=dict(bbox_head=dict(bbox_coder=dict(target_stds=[0.1]))))",
        "model = dict(test_cfg=dict(rcnn=dict(score_thr=thr, nms=dict(type=None))))",
        "\0",
        "model = " + "(" * 5000,
        "#" * (LONGEST_TEXT + 1),
    ],
    ids=range(9),
)
def test_what_makes_no_sense_is_left_aside(text: str) -> None:
    model = detector("mask_rcnn")
    state = export_tensors(model, "mmdet", (224, 224))
    config = load({"meta": {"config": text}, "state_dict": state}, report=None).config
    assert config == model.config


def test_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "made"
    text = f"model = dict(a=open({str(path)!r}, 'w'), b=-2, c=-[1], d={{1: 2, **x}})"
    assert read_assignment(text, "model") == {"a": None, "b": -2, "c": None, "d": {1: 2}}
    assert not path.exists()


def test_unfold_order_is_the_documented_one() -> None:
    channels = 3
    official = torch.arange(4 * channels).float()  # s * C + c
    unfolded = to_unfold(official)
    for c in range(channels):
        for dy in (0, 1):
            for dx in (0, 1):
                s = dy + 2 * dx  # (0,0), (1,0), (0,1), (1,1)
                assert unfolded[c * 4 + 2 * dy + dx] == s * channels + c
    assert torch.equal(from_unfold(unfolded), official)
