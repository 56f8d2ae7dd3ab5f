"""Detector and segmenter files that are damaged, of another kind, or asked for the wrong task."""

from pathlib import Path
from typing import Any

import pytest
import torch
from dense_peers import detector, golden, segmenter, state_of

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.convert import convert, export_tensors
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import header_of, save
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError


def message(source: Any, **settings: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(source, report=None, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def foreign(kind: Any = "mask_rcnn") -> dict[str, torch.Tensor]:
    return export_tensors(detector(kind), "mmdet", (224, 224))


def test_task_that_the_file_does_not_hold() -> None:
    assert "holds a detector" in message(foreign(), task="segmentation")
    assert "holds a segmenter" in message(segmenter().state_dict(), task="detection")
    bare = {name: value for name, value in foreign().items() if name.startswith("backbone.")}
    assert "no detector or segmenter" in message(bare, task="detection")
    assert "choose classification" in message(bare, task="detections")


def test_backbone_and_classifier_of_a_detector(golden_dir: Path) -> None:
    state = state_of(golden(golden_dir, "mm_maskrcnn_case1"))
    reports: list[Any] = []
    backbone = load(state, task="backbone", strict=True, report=reports.append)
    assert isinstance(backbone, SwinBackbone)
    assert any(name.startswith("roi_head.") for name in reports[0].other)
    classifier = load(state, task="classification", num_classes=3, report=None)
    assert isinstance(classifier, SwinClassifier)


def test_own_detector_file_gives_its_backbone(tmp_path: Path) -> None:
    model = detector("htc")
    path = save(model, tmp_path / "m.safetensors")
    backbone = load(path, task="backbone", strict=True, report=None)
    assert isinstance(backbone, SwinBackbone)
    assert backbone.config == model.config.backbone


@pytest.mark.parametrize(
    "name",
    [
        "rpn_head.rpn_reg.weight",
        "roi_head.bbox_head.fc_cls.bias",
        "roi_head.mask_head.convs.1.conv.weight",
        "neck.fpn_convs.2.conv.bias",
    ],
)
def test_heads_with_holes_are_refused(name: str) -> None:
    state = foreign()
    del state[name]
    assert "incomplete" in message(state)


def test_a_damaged_segmenter_is_refused() -> None:
    state = export_tensors(segmenter(), "mmseg", (224, 224))
    del state["decode_head.lateral_convs.1.bn.running_mean"]
    assert "incomplete" in message(state)
    state = export_tensors(segmenter(), "mmseg", (224, 224))
    for leaf in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"):
        del state[f"decode_head.psp_modules.3.1.{leaf}"]
    assert "3 grids" in message(state)


def test_surprises_are_reported_and_refused_by_strict() -> None:
    state = {**foreign(), "roi_head.bbox_head.reg_fcs.0.weight": torch.zeros(2, 2)}
    assert "reg_fcs" in message(state, strict=True)
    reports: list[Any] = []
    load(state, report=reports.append)
    assert reports[0].unexpected == ["roi_head.bbox_head.reg_fcs.0.weight"]


def test_heads_of_another_kind_leave_the_backbone() -> None:
    state = {name: value for name, value in foreign().items() if name.startswith("backbone.")}
    state["bbox_head.atss_cls.weight"] = torch.zeros(3, 3)
    reports: list[Any] = []
    assert isinstance(load(state, report=reports.append), SwinBackbone)
    assert "swinkit does not build" in str(reports[0])


def test_other_anchors_are_refused() -> None:
    state = foreign()
    state["rpn_head.rpn_cls.weight"] = torch.zeros(5, 16, 1, 1)
    assert "3 anchors" in message(state)
    state = foreign("retinanet")
    state["bbox_head.retina_reg.weight"] = torch.zeros(12, 16, 3, 3)
    assert "9" in message(state)


def test_shapes_that_contradict_each_other() -> None:
    state = foreign("cascade_mask_rcnn")
    state["roi_head.bbox_head.2.fc_cls.weight"] = torch.zeros(9, 24)
    assert "contradicts itself" in message(state)
    state = foreign()
    state["roi_head.bbox_head.shared_fcs.0.weight"] = torch.zeros(24, 100)
    assert "no square" in message(state)


@pytest.mark.parametrize(
    ("build", "layout", "reason"),
    [
        (lambda: detector("faster_rcnn"), "timm", "detectors go to"),
        (lambda: detector("faster_rcnn"), "mmseg", "detectors go to"),
        (lambda: segmenter(), "mmdet", "segmenters go to"),
        (lambda: segmenter(decoder="unet"), "mmseg", "unet"),
        (lambda: segmenter(auxiliary_stage=1), "huggingface", "auxiliary"),
    ],
)
def test_what_a_layout_cannot_express(tmp_path: Path, build: Any, layout: Any, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        convert(build(), tmp_path / "m.pth", to=layout, report=None)
    assert not list(tmp_path.iterdir())


def test_difference_in_masks_is_said(tmp_path: Path) -> None:
    said: list[Any] = []
    convert(detector("htc"), tmp_path / "m.pth", to="mmdet", report=said.append)
    assert "HTC's masks by last" in str(said[0])


def test_files_of_classifiers_stay_readable_by_the_first_version() -> None:
    assert '"format_version": 2' in header_of(detector("retinanet"))["swinkit"]
    backbone = SwinBackbone(detector("retinanet").config.backbone)
    assert '"format_version": 1' in header_of(backbone)["swinkit"]


@pytest.mark.parametrize("count", [0, -2])
def test_no_classes(count: int) -> None:
    assert "at least 1" in message(detector("retinanet").state_dict(), num_classes=count)
