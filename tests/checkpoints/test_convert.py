"""Weights given to other packages: their strict loaders take them, and the way back is exact."""

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import (
    deviation,
    huggingface,
    huggingface_config,
    strengthen,
    timm_v1,
    timm_v2,
    torchvision_swin,
)

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.convert import convert, export_tensors
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError

SMALL: dict[str, Any] = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)}
LAYOUTS = ("native", "microsoft", "timm", "torchvision", "huggingface", "mmdet", "mmseg")


def classifier(**settings: Any) -> SwinClassifier:
    return strengthen(SwinClassifier(SwinConfig(**{**SMALL, **settings}), num_classes=11))  # type: ignore[return-value]


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


ROUND_TRIPS = [
    (layout, version, suffix)
    for layout in LAYOUTS
    for version in ((1,) if layout.startswith("mm") else (1, 2))
    for suffix in ((".safetensors",) if layout == "native" else (".safetensors", ".pth"))
]


@pytest.mark.parametrize(("layout", "version", "suffix"), ROUND_TRIPS)
def test_round_trip_is_bit_exact(tmp_path: Path, layout: Any, version: Any, suffix: str) -> None:
    model = classifier(version=version, window_size=7 if version == 1 else 8)
    size = 224 if version == 1 else 256
    out = tmp_path / ("model" if layout == "huggingface" else f"model{suffix}")
    convert(model, out, to=layout, image_size=size, report=None)
    settings: dict[str, Any] = {}
    if version == 2:
        settings = {"window_size": 8, "image_size": 256, "pretrained_window_size": 0}
    back = load(out, strict=True, report=None, **settings)
    assert same_weights(model, back)
    assert back.config.window_size == model.config.window_size


@pytest.mark.parametrize("layout", ["microsoft", "huggingface", "mmdet"])
def test_detection_backbone_round_trip(tmp_path: Path, layout: Any) -> None:
    config = SwinConfig(**SMALL, norm_stages=(0, 1, 2, 3), small_map_rule="keep")
    model = strengthen(SwinBackbone(config))
    out = tmp_path / ("model" if layout == "huggingface" else "model.pth")
    convert(model, out, to=layout, report=None)  # type: ignore[arg-type]
    back = load(out, strict=True, report=None)
    assert same_weights(model, back)
    assert back.config == config


def test_other_packages_load_strictly_and_agree() -> None:
    for peer, layout, size in (
        (timm_v1(224), "timm", 224),
        (timm_v2(256), "timm", 256),
        (torchvision_swin(1), "torchvision", 224),
        (torchvision_swin(2, (8, 8)), "torchvision", 256),
    ):
        version: Any = 1 if size == 224 else 2
        model = classifier(version=version, window_size=7 if version == 1 else 8)
        peer.load_state_dict(export_tensors(model, layout, (size, size)), strict=True)  # type: ignore[arg-type]
        image = torch.randn(1, 3, size, size)
        with torch.no_grad():
            assert deviation(model(image), peer(image)) <= 1e-5


@pytest.mark.parametrize("version", [1, 2])
def test_transformers_opens_the_folder(tmp_path: Path, version: Any) -> None:
    from transformers import AutoModelForImageClassification

    model = classifier(version=version, window_size=7 if version == 1 else 8)
    size = 224 if version == 1 else 256
    convert(model, tmp_path / "hf", to="huggingface", image_size=size, report=None)
    peer, info = AutoModelForImageClassification.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    image = torch.randn(1, 3, size, size)
    with torch.no_grad():
        assert deviation(model(image), peer.eval()(image).logits) <= 1e-5


def test_transformers_opens_a_backbone_folder(tmp_path: Path) -> None:
    from transformers import SwinBackbone as TheirBackbone

    config = SwinConfig(**SMALL, norm_stages=(0, 1, 2, 3), small_map_rule="keep")
    model = strengthen(SwinBackbone(config))
    convert(model, tmp_path / "hf", to="huggingface", report=None)  # type: ignore[arg-type]
    peer, info = TheirBackbone.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert all("swin.layernorm" in key for key in info["missing_keys"])  # it never uses that one
    image = torch.randn(1, 3, 101, 147)
    with torch.no_grad():
        for own, other in zip(model(image), peer.eval()(image).feature_maps, strict=True):
            assert deviation(own, other) <= 1e-5


def test_official_buffers_have_the_official_names_and_shapes() -> None:
    model = classifier(version=2, window_size=8, pretrained_window_size=6)
    tensors = export_tensors(model, "microsoft", (256, 256))
    assert tensors["layers.0.blocks.1.attn_mask"].shape == (64, 64, 64)
    assert tensors["layers.2.blocks.1.attn_mask"].shape == (4, 64, 64)
    assert "layers.3.blocks.1.attn_mask" not in tensors  # the map is one window: no shift
    assert "layers.0.blocks.0.attn_mask" not in tensors
    assert tensors["layers.3.blocks.0.attn.relative_coords_table"].shape == (1, 15, 15, 2)
    assert tensors["layers.3.blocks.0.attn.relative_position_index"].shape == (64, 64)
    # The buffers alone tell window, pretrained window and image size.
    back = load(tensors, strict=True, report=None)
    assert back.config.windows == model.config.windows
    assert back.config.pretrained_windows == ((6, 6),) * 4
    assert back.info.preprocessing.size_hw == (256, 256)  # type: ignore[union-attr]


@pytest.mark.parametrize("version", [1, 2])
def test_what_transformers_saves_comes_back(tmp_path: Path, version: int) -> None:
    peer = huggingface(version, image_size=224 if version == 1 else 256)
    peer.save_pretrained(tmp_path)  # type: ignore[operator]
    model = load(tmp_path, strict=True, report=None)
    image = torch.randn(1, 3, *model.info.preprocessing.size_hw)  # type: ignore[union-attr]
    with torch.no_grad():
        assert deviation(model(image), peer(image).logits) <= 1e-5
    assert huggingface_config(version).depths == list(model.config.depths)


@pytest.mark.parametrize(
    ("layout", "settings", "reason"),
    [
        ("torchvision", {"in_channels": 4}, "3 channels"),
        ("torchvision", {"window_size": (7, 14, 7, 7)}, "one window"),
        ("huggingface", {"window_size": (4, 6)}, "square"),
        ("mmdet", {"version": 2, "window_size": 8}, "no Swin V2"),
        ("timm", {"absolute_position_hw": (56, 56)}, "absolute position"),
        ("huggingface", {"patch_norm": False}, "patch embedding"),
    ],
)
def test_what_a_package_cannot_express_is_said(
    tmp_path: Path, layout: Any, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        convert(classifier(**settings), tmp_path / "x.pth", to=layout, image_size=224)
    assert not list(tmp_path.iterdir())


def test_own_file_keeps_everything(tmp_path: Path) -> None:
    model = classifier(window_size=((4, 6), (7, 7), (3, 5), (2, 2)), absolute_position_hw=(9, 11))
    path = save(model, tmp_path / "model.safetensors")
    back = load(path, strict=True, report=None)
    assert same_weights(model, back)
    assert back.config == model.config
    assert back.info.preprocessing == model.info.preprocessing  # type: ignore[union-attr]
