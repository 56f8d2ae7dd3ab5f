"""Weights and outputs of the original implementations, from ../shared/golden."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import deviation
from safetensors.torch import load_file
from torch import Tensor

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.load import load
from swinkit.windows.position_bias import resize_bias_table

TOLERANCE = 1e-5
# V2's recorded maps lie up to 2.4e-5 from a float64 run (its cosines are scaled by up to 100);
# another float32 run may lie as far on the other side.
MAP_TOLERANCE = {1: 1e-5, 2: 5e-5}
KINDS = ("auto", "sdpa", "reference")

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "ms_v1_224_w7": {},
    "ms_v1_64_w4_small_stages": {},
    "ms_v1_rect_w7": {},
    "ms_v2_256_w8": {"window_size": 8, "image_size": 256, "pretrained_window_size": 0},
    "ms_v2_192_w12_pretrained6": {
        "window_size": 12,
        "image_size": 192,
        "pretrained_window_size": (6, 6, 6, 3),
    },
}
DETECTORS = ("mm_maskrcnn_case1", "mm_cascade_case1", "mm_htc_case1", "mm_upernet_case1")


def tensors(folder: Path, name: str) -> dict[str, Tensor]:
    return load_file(folder / f"{name}.safetensors")


def state_of(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("state."): value
        for name, value in values.items()
        if name.startswith("state.")
    }


def with_attention(model: Any, kind: str) -> Any:
    config = replace(model.config, attention=kind)
    if isinstance(model, SwinBackbone):
        changed = type(model)(config)
    else:
        changed = type(model)(config, num_classes=model.head.fc.out_features)
    changed.load_state_dict(model.state_dict())
    return changed.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_official_classifier(golden_dir: Path, name: str, kind: str) -> None:
    values = tensors(golden_dir, name)
    state, image = state_of(values), values["input.image"]
    model = with_attention(load(state, strict=True, report=None, **CLASSIFIERS[name]), kind)
    backbone = load(state, task="backbone", report=None, **CLASSIFIERS[name])
    backbone = with_attention(backbone, kind)
    with torch.no_grad():
        assert deviation(model(image), values["out.logits"]) <= TOLERANCE
        assert deviation(model.forward_features(image), values["out.features"]) <= TOLERANCE
        maps = backbone(image)
    for stage in range(3):  # the last map is normed, the recorded one is not
        theirs = values[f"out.stage.{stage}"]
        own = maps[stage].permute(0, 2, 3, 1).reshape(theirs.shape)
        assert deviation(own, theirs) <= MAP_TOLERANCE[backbone.config.version]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["det_backbone_101x147_w7", "det_backbone_253x190_w7_ape"])
def test_detection_fork(golden_dir: Path, name: str, kind: str) -> None:
    values = tensors(golden_dir, name)
    backbone = with_attention(load(state_of(values), strict=True, report=None), kind)
    with torch.no_grad():
        maps = backbone(values["input.image"])
    for stage, own in enumerate(maps):
        assert deviation(own, values[f"out.stage.{stage}"]) <= TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DETECTORS)
def test_backbone_inside_openmmlab_models(golden_dir: Path, name: str, kind: str) -> None:
    values = tensors(golden_dir, name)
    reports: list[Any] = []
    source = {"state_dict": state_of(values)}
    backbone = load(source, task="backbone", strict=True, report=reports.append)
    assert isinstance(backbone, SwinBackbone)
    assert reports[0].other  # neck and heads, named in the report
    backbone = with_attention(backbone, kind)
    runs = [("input.image", "out.backbone")]
    if "extra.odd.image" in values:
        runs.append(("extra.odd.image", "extra.odd.backbone"))
    for given, expected in runs:
        with torch.no_grad():
            maps = backbone(values[given])
        for stage, own in enumerate(maps):
            assert deviation(own, values[f"{expected}.{stage}"]) <= TOLERANCE


def test_bias_table_to_another_window(golden_dir: Path) -> None:
    values = tensors(golden_dir, "bias_table_7_to_12")
    table = values["input.relative_position_bias_table"]
    expected = values["out.relative_position_bias_table"]
    assert deviation(resize_bias_table(table, (7, 7), (12, 12)), expected) <= TOLERANCE
