"""The original implementations' tensors, stage by stage, both kernels, gradients on and off.

`tests/checkpoints/test_golden.py` proves that files are read right; this one follows the values
inside: each stage before its norm, the pooled features, the logits.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.load import load

TOLERANCE = 1e-5

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
DETECTION = ("det_backbone_101x147_w7", "det_backbone_253x190_w7_ape")


def read(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    values = load_file(folder / f"{name}.safetensors")
    state = {
        key.removeprefix("state."): value
        for key, value in values.items()
        if key.startswith("state.")
    }
    return values, state


def rebuilt(loaded: Any, kernel: str) -> SwinBackbone:
    backbone = loaded if isinstance(loaded, SwinBackbone) else loaded.backbone
    other = SwinBackbone(replace(backbone.config, attention=kernel))
    other.load_state_dict(backbone.state_dict())
    return other.eval()


def deviation(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference in units of the reference's standard deviation."""
    return float((ours.detach() - theirs).abs().max() / theirs.std())


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_official_classifier(golden_dir: Path, name: str, kernel: str, gradients: bool) -> None:
    values, state = read(golden_dir, name)
    loaded = load(state, strict=True, report=None, **CLASSIFIERS[name])
    backbone = rebuilt(loaded, kernel)
    names = [f"stages.{stage}" for stage in range(4)]
    with torch.set_grad_enabled(gradients):
        maps = backbone.intermediates(values["input.image"], names)
        features = backbone.forward_last(values["input.image"]).mean(1)
        logits = loaded.head.fc(features)
    for stage, ours in enumerate(maps.values()):
        theirs = values[f"out.stage.{stage}"]
        assert deviation(ours.reshape(theirs.shape), theirs) <= TOLERANCE, stage
    assert deviation(features, values["out.features"]) <= TOLERANCE
    assert deviation(logits, values["out.logits"]) <= TOLERANCE


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
@pytest.mark.parametrize("name", DETECTION)
def test_detection_fork(golden_dir: Path, name: str, kernel: str, gradients: bool) -> None:
    values, state = read(golden_dir, name)
    backbone = rebuilt(load(state, strict=True, report=None), kernel)
    with torch.set_grad_enabled(gradients):
        maps = backbone(values["input.image"])
    for stage, ours in enumerate(maps):
        assert deviation(ours, values[f"out.stage.{stage}"]) <= TOLERANCE, stage
