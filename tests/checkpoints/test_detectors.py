"""Detectors from and for mmdet and the official fork: recognised, equal in their outputs, exact."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import deviation
from dense_peers import (
    BACKBONE,
    detector,
    facts,
    golden,
    official,
    same_tensors,
    state_of,
)
from torch import Tensor

from swinkit.checkpoints.convert import convert
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.detection.config import DetectorConfig, RetinaNetConfig
from swinkit.detection.model import SwinDetector, create_detector
from swinkit.images.fitting import Fit
from swinkit.task.model import ModelInfo

GOLDEN = ("mm_maskrcnn_case1", "mm_cascade_case1", "mm_htc_case1")
KINDS = ("retinanet", "faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "htc")
LAYOUTS = ("mmdet", "microsoft")


def quiet(source: Any, **settings: Any) -> SwinDetector:
    model = load(source, report=None, **settings)
    assert isinstance(model, SwinDetector)
    return model


def read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_raw_outputs_and_detections(golden_dir: Path, name: str, layout: str) -> None:
    values, about = golden(golden_dir, name), facts(golden_dir, name)
    state = state_of(values)
    model = quiet(state if layout == "mmdet" else official(state), strict=True)
    with torch.no_grad():
        maps = model.pyramid(values["input.image"])
        assert model.rpn is not None
        scores, deltas = model.rpn(maps)
        for level in range(5):
            assert deviation(maps[level], values[f"out.fpn.{level}"]) <= 1e-5
            assert deviation(scores[level], values[f"out.rpn_cls.{level}"]) <= 3e-5
            assert deviation(deltas[level], values[f"out.rpn_bbox.{level}"]) <= 3e-5
        settings = about["config"].get("test_cfg", about["config"]["roi_head"]["test_cfg"])["rcnn"]
        output = replace(
            model.config.output,
            score_threshold=settings["score_thr"],
            max_per_image=settings["max_per_img"],
        )
        size_hw = tuple(about["img_metas"]["img_shape"])
        found = model(values["input.image"], [size_hw], output)[0]
    assert found.labels.tolist() == values["out.det.labels"].tolist()
    assert (found.boxes_xyxy - values["out.det.bboxes_input_scale"]).abs().max() <= 0.01
    assert (found.scores - values["out.det.scores"]).abs().max() <= 1e-4


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_come_back_bit_for_bit(golden_dir: Path, name: str, tmp_path: Path) -> None:
    state = state_of(golden(golden_dir, name))
    for layout, names in (("mmdet", state), ("microsoft", official(state))):
        out = convert(state, tmp_path / f"{layout}.pth", to=layout, strict=True, report=None)  # type: ignore[arg-type]
        assert same_tensors(read(out)["state_dict"], names)
        assert same_tensors(quiet(out, strict=True).state_dict(), quiet(state).state_dict())


@pytest.mark.parametrize("layout", [*LAYOUTS, "native"])
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_is_bit_exact(tmp_path: Path, kind: Any, layout: Any) -> None:
    model = detector(kind)
    suffixes = (".safetensors",) if layout == "native" else (".safetensors", ".pth")
    for suffix in suffixes:
        out = convert(model, tmp_path / f"model{suffix}", to=layout, report=None)
        back = quiet(out, strict=True)
        assert same_tensors(back.state_dict(), model.state_dict())
        assert back.config == model.config
    if layout != "native":
        bare = quiet(read(tmp_path / "model.pth")["state_dict"], strict=True)
        assert same_tensors(bare.state_dict(), model.state_dict())
        assert bare.config == as_read(model.config, layout)


def as_read(config: DetectorConfig, layout: str) -> DetectorConfig:
    """What names and shapes alone tell: HTC's masks and threshold are those of its package."""
    if config.kind != "htc":
        return config
    assert config.roi is not None
    assert config.roi.mask is not None
    mask = replace(config.roi.mask, merge="last" if layout == "mmdet" else "mean")
    output = replace(config.output, score_threshold=0.001)
    return replace(config, roi=replace(config.roi, mask=mask), output=output)


@pytest.mark.parametrize("kind", KINDS)
def test_state_dict_alone_is_enough(kind: Any) -> None:
    model = detector(kind)
    back = quiet(model.state_dict(), strict=True)
    assert same_tensors(back.state_dict(), model.state_dict())
    assert back.config == as_read(model.config, "native")


def test_names_of_other_packages(tmp_path: Path) -> None:
    expected = {
        "retinanet": ("bbox_head.cls_convs.3.conv.weight", "neck.fpn_convs.4.conv.bias"),
        "faster_rcnn": ("roi_head.bbox_head.shared_fcs.1.weight", "rpn_head.rpn_reg.bias"),
        "cascade_mask_rcnn": (
            "roi_head.bbox_head.2.shared_convs.3.bn.running_var",
            "roi_head.mask_head.1.conv_logits.weight",
        ),
        "htc": (
            "roi_head.mask_head.1.conv_res.conv.weight",
            "roi_head.semantic_head.conv_embedding.conv.bias",
        ),
    }
    for kind, names in expected.items():
        out = convert(detector(kind), tmp_path / "m.pth", to="microsoft", report=None)  # type: ignore[arg-type]
        state = read(out)["state_dict"]
        assert set(names) <= set(state)
        assert "backbone.layers.0.downsample.reduction.weight" in state


def test_group_norm_has_its_own_name(tmp_path: Path) -> None:
    model = detector("cascade_rcnn")
    assert model.config.roi is not None
    box = replace(model.config.roi.box, norm="group")
    changed = SwinDetector.from_config(
        replace(model.config, roi=replace(model.config.roi, box=box))
    )
    out = convert(changed, tmp_path / "m.pth", to="mmdet", report=None)
    assert "roi_head.bbox_head.0.shared_convs.0.gn.weight" in read(out)["state_dict"]
    assert quiet(out, strict=True).config.roi == changed.config.roi


@pytest.mark.parametrize(
    ("meta", "layout", "merge"),
    [
        ({}, "mmdet", "last"),
        ({"mmdet_version": "3.3.0"}, "mmdet", "last"),
        ({"mmdet_version": "2.28.2"}, "mmdet", "mean"),
        ({}, "microsoft", "mean"),
    ],
)
def test_masks_of_htc_follow_the_version(
    golden_dir: Path, meta: dict[str, str], layout: str, merge: str
) -> None:
    state = state_of(golden(golden_dir, "mm_htc_case1"))
    state = state if layout == "mmdet" else official(state)
    config = quiet({"meta": meta, "state_dict": state}).config
    assert config.roi is not None
    assert config.roi.mask is not None
    assert config.roi.mask.merge == merge


def test_class_names_travel(tmp_path: Path) -> None:
    model = detector("faster_rcnn")
    names = ("a", "b", "c", "d", "e")
    model.info = replace(model.info, class_names=names, preprocessing=Fit(short_side=64))
    for layout in LAYOUTS:
        out = convert(model, tmp_path / f"{layout}.pth", to=layout, report=None)  # type: ignore[arg-type]
        content = read(out)
        del content["meta"]["swinkit"]
        assert quiet(content).class_names == quiet(out).class_names == names
    back = quiet(save(model, tmp_path / "m.safetensors"))
    assert back.class_names == names
    assert back.info.preprocessing == Fit(short_side=64)


def test_eighty_classes_are_those_of_coco() -> None:
    reports: list[Any] = []
    model = load(detector("retinanet", num_classes=80).state_dict(), report=reports.append)
    assert model.class_names[:3] == ("person", "bicycle", "car")  # type: ignore[union-attr]
    assert len(set(model.class_names)) == 80  # type: ignore[union-attr]
    assert "COCO" in str(reports[0])


@pytest.mark.parametrize("share", [True, False])
def test_another_number_of_classes(share: bool) -> None:
    model = detector("cascade_mask_rcnn", classes_share_boxes=share)
    reports: list[Any] = []
    moved = load(model.state_dict(), num_classes=2, strict=True, report=reports.append)
    assert isinstance(moved, SwinDetector)
    own, new = model.state_dict(), moved.state_dict()
    assert new["box_heads.1.scores.weight"].shape[0] == 3
    assert new["mask_heads.2.logits.weight"].shape[0] == 2
    assert torch.equal(new["box_heads.1.fcs.0.weight"], own["box_heads.1.fcs.0.weight"])
    kept = new["box_heads.1.deltas.weight"].shape == own["box_heads.1.deltas.weight"].shape
    assert kept == share
    if share:
        assert torch.equal(new["box_heads.1.deltas.weight"], own["box_heads.1.deltas.weight"])
    assert "5 classes to 2" in str(reports[0])
    assert moved(torch.randn(1, 3, 64, 64))[0].scores.dim() == 1


def test_window_channels_and_size_of_a_detector() -> None:
    model = detector("faster_rcnn")
    moved = quiet(model.state_dict(), window_size=4, in_channels=5, image_size=400)
    assert moved.config.backbone.windows == ((4, 4),) * 4
    fit = moved.info.preprocessing
    assert isinstance(fit, Fit)
    assert (fit.short_side, fit.long_side, fit.channels) == (400, 666, 5)
    assert moved(torch.randn(1, 5, 64, 64))[0].boxes_xyxy.shape[1] == 4


def background_first(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of a Mask R-CNN in mmdet 1's names and class order."""
    old = {}
    for name, value in state.items():
        name = name.removeprefix("roi_head.")
        if ".fc_cls." in name:
            value = torch.cat([value[-1:], value[:-1]])
        elif ".fc_reg." in name:
            value = torch.cat([torch.zeros_like(value[:4]), value])
        elif ".conv_logits." in name:
            value = torch.cat([torch.zeros_like(value[:1]), value])
        old[name] = value
    return old


def test_background_first_is_told_by_the_version(golden_dir: Path) -> None:
    state = state_of(golden(golden_dir, "mm_maskrcnn_case1"))
    reports: list[Any] = []
    old = {"meta": {"mmdet_version": "1.2.0"}, "state_dict": background_first(state)}
    model = load(old, report=reports.append)
    assert same_tensors(model.state_dict(), quiet(state).state_dict())
    assert any("background" in text for text in reports[0].guesses)


def test_floats_of_half_precision_become_float32_and_counters_stay_whole() -> None:
    model = detector("cascade_rcnn")
    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    counter = quiet(half).state_dict()["box_heads.0.convs.0.norm.num_batches_tracked"]
    assert (counter.dtype, int(counter)) == (torch.int64, 7)


def test_retinanet_of_mmdet_norms_only_the_maps_it_reads(tmp_path: Path) -> None:
    model = detector("retinanet")
    state = read(convert(model, tmp_path / "m.pth", to="mmdet", report=None))["state_dict"]
    assert not any(name.startswith("backbone.norm0") for name in state)
    moved = quiet(state, strict=True)
    assert moved.config.backbone.norm_stages == (1, 2, 3)
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        for own, other in zip(model.pyramid(image), moved.pyramid(image), strict=True):
            assert torch.equal(own, other)


def second_version() -> SwinDetector:
    window = ((8, 8), (8, 8), (8, 8), (4, 4))
    backbone = replace(BACKBONE, version=2, window_size=window, pretrained_window_size=6)
    info = ModelInfo(class_names=("cat", "dog"), preprocessing=Fit(short_side=96, long_side=None))
    config = RetinaNetConfig(backbone=backbone, num_classes=2, fpn_channels=8)
    return SwinDetector.from_config(config, info=info)


def named() -> SwinDetector:
    return create_detector("mask_rcnn_swin_nano", class_names=("cat", "dog"))


@pytest.mark.parametrize("build", [second_version, named])
def test_own_files_tell_everything(tmp_path: Path, build: Callable[[], SwinDetector]) -> None:
    model = build()
    back = quiet(save(model, tmp_path / "m.safetensors"), strict=True)
    assert same_tensors(back.state_dict(), model.state_dict())
    assert (back.config, back.info.class_names) == (model.config, ("cat", "dog"))
    assert back.info.preprocessing == model.info.preprocessing


def test_what_the_target_must_be_told_is_said(tmp_path: Path) -> None:
    model = named()
    said: list[Any] = []
    out = convert(model, tmp_path / "m.pth", to="mmdet", report=said.append)
    assert model.config.rpn is not None
    assert model.config.rpn.scale != 8
    assert "anchors of scale" in str(said[0])
    assert quiet(out, strict=True).config == model.config
