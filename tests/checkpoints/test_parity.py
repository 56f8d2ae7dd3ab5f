"""Loaded weights compute what the packages themselves compute: logits, maps and gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from checkpoint_peers import (
    deviation,
    huggingface,
    timm_v1,
    timm_v2,
    torchvision_swin,
)
from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.load import load
from swinkit.checkpoints.renaming import read_backbone
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources import recognize
from swinkit.classification.model import SwinClassifier

TOLERANCE = 1e-5
REPORT = LoadReport(origin="peer", source="peer")
Build = Callable[[], nn.Module]
V2: dict[str, Any] = {"window_size": 8, "image_size": 128, "pretrained_window_size": 0}

# torchvision cuts off pixels beyond a multiple of the patch where the others pad: sizes by 4.
CASES: dict[str, tuple[Build, tuple[int, int], dict[str, Any]]] = {
    "timm v1": (timm_v1, (112, 112), {}),
    "timm v1, window per stage": (
        lambda: timm_v1(112, (7, 14, 7, 4)),
        (112, 112),
        {},
    ),
    "timm v1, rectangular window": (
        lambda: timm_v1((128, 192), (4, 6)),  # type: ignore[arg-type]
        (128, 192),
        {"window_size": (4, 6)},
    ),
    "timm v1, 5 channels, no qkv bias": (
        lambda: timm_v1(112, in_chans=5, qkv_bias=False),
        (112, 112),
        {},
    ),
    "timm v2, last stage shrinks": (timm_v2, (128, 128), V2),
    "timm v2, pretrained window": (
        lambda: timm_v2(128, 8, pretrained_window_sizes=(6, 6, 6, 3)),
        (128, 128),
        {**V2, "pretrained_window_size": (6, 6, 6, 3)},
    ),
    "torchvision v1": (lambda: torchvision_swin(1), (224, 224), {}),
    "torchvision v1, odd size": (lambda: torchvision_swin(1), (100, 148), {}),
    "torchvision v1, rectangular window": (lambda: torchvision_swin(1, (4, 6)), (96, 132), {}),
    "torchvision v2": (lambda: torchvision_swin(2, (8, 8)), (128, 128), {}),
    "torchvision v2, odd size": (lambda: torchvision_swin(2, (8, 8)), (100, 148), {}),
    "transformers v1": (lambda: huggingface(1), (224, 224), {}),
    "transformers v1, odd size": (lambda: huggingface(1), (237, 301), {}),
    "transformers v1, absolute positions": (
        lambda: huggingface(1, use_absolute_embeddings=True),
        (224, 224),
        {},
    ),
    "transformers v2": (lambda: huggingface(2), (128, 128), V2),
}


def logits(output: Any) -> Tensor:
    return output if torch.is_tensor(output) else output.logits


def with_attention(model: SwinClassifier, kind: str) -> SwinClassifier:
    config = replace(model.config, attention=kind)
    changed = SwinClassifier(config, num_classes=model.head.fc.out_features)
    changed.load_state_dict(model.state_dict())
    return changed.eval()


@pytest.mark.parametrize("kind", ["auto", "sdpa", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients(case: str, kind: str) -> None:
    build, size, settings = CASES[case]
    peer = build()
    state = dict(peer.state_dict())
    loaded = load(state, strict=True, report=None, **settings)
    assert isinstance(loaded, SwinClassifier)
    model = with_attention(loaded, kind)
    image = torch.randn(2, model.config.in_channels, *size)
    theirs, ours = logits(peer(image)), model(image)
    assert deviation(ours.detach(), theirs.detach()) <= TOLERANCE
    weight = torch.randn(theirs.shape)
    (theirs * weight).sum().backward()
    (ours * weight).sum().backward()
    # The key map carries gradients as it carries weights.
    given = {
        name: value.grad if value.grad is not None else torch.zeros_like(value)
        for name, value in peer.named_parameters()
    }
    expected = read_backbone(recognize(state, "peer")[1], given, REPORT).tensors
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        theirs = expected[name.removeprefix("backbone.")].view_as(value)
        difference = (value.grad - theirs).abs().max()
        assert difference <= 2e-5 * scale, name


def test_bare_transformers_model_gives_its_last_map() -> None:
    peer = huggingface(1, "Model")
    backbone = load(dict(peer.state_dict()), strict=True, report=None)
    assert isinstance(backbone, SwinBackbone)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        theirs = peer(image).last_hidden_state
        ours = backbone(image)[-1].flatten(2).transpose(1, 2)
    assert deviation(ours, theirs) <= TOLERANCE


def test_transformers_backbone_keeps_windows_on_small_maps() -> None:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    peer = huggingface(1, "Backbone", out_features=stages)
    backbone = load(dict(peer.state_dict()), strict=True, report=None)
    assert backbone.config.norm_stages == (0, 1, 2, 3)
    image = torch.randn(1, 3, 101, 147)  # stage 4 is 4 x 5, smaller than the window of 7
    with torch.no_grad():
        theirs, ours = peer(image).feature_maps, backbone(image)
    for own, other in zip(ours, theirs, strict=True):
        assert deviation(own, other) <= TOLERANCE


@pytest.mark.parametrize("build", [timm_v1, timm_v2])
def test_timm_feature_extractor(build: Callable[..., nn.Module]) -> None:
    from timm.models._features import FeatureListNet

    peer = build()
    features = FeatureListNet(peer, out_indices=(0, 1, 2, 3), flatten_sequential=True).eval()
    settings = V2 if build is timm_v2 else {}
    backbone = load(dict(features.state_dict()), report=None, **settings)
    assert isinstance(backbone, SwinBackbone)
    image = torch.randn(1, 3, 128, 128) if build is timm_v2 else torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        theirs, ours = features(image), backbone(image)
    for own, other in zip(ours, theirs, strict=True):
        assert deviation(own, other.permute(0, 3, 1, 2)) <= TOLERANCE


def test_a_classifier_as_backbone_and_under_a_prefix() -> None:
    state = {f"model.{name}": value for name, value in timm_v1().state_dict().items()}
    reports: list[Any] = []
    backbone = load(state, task="backbone", report=reports.append)
    assert isinstance(backbone, SwinBackbone)
    assert "head.fc.weight" in reports[0].ignored
    assert not reports[0].unexplained
