"""What stands beside weights decides what they compute: obeyed exactly, or refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_peers import (
    CLASSES,
    DEPTHS,
    DIM,
    HEADS,
    deviation,
    huggingface,
    huggingface_config,
    strengthen,
    timm_v1,
    torchvision_swin,
)
from PIL import Image
from safetensors.torch import save_file

from swinkit.checkpoints.convert import convert
from swinkit.checkpoints.load import load
from swinkit.errors import CheckpointError


def message(source: Any, **settings: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(source, report=None, **settings)
    return str(caught.value)


def folder(path: Path, peer: torch.nn.Module, **files: dict[str, Any]) -> Path:
    """A folder with weights and, under their names without suffix, settings files."""
    path.mkdir(parents=True, exist_ok=True)
    save_file(dict(peer.state_dict()), path / "model.safetensors")
    for name, values in files.items():
        (path / f"{name}.json").write_text(json.dumps(values))
    return path


# timm


@pytest.mark.parametrize("where", ["model_args", "input_size"])
def test_timm_constructor_arguments_come_before_the_name(tmp_path: Path, where: str) -> None:
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    peer = strengthen(
        SwinTransformerV2(
            img_size=448,
            window_size=14,
            embed_dim=DIM,
            depths=(1, 1, 2, 1),
            num_heads=HEADS,
            num_classes=CLASSES,
        )
    )
    args: dict[str, Any] = {"window_size": 14}
    if where == "model_args":
        args["img_size"] = 448
    config = {
        "architecture": "swinv2_tiny_window8_256",
        "model_args": args,
        "pretrained_cfg": {"input_size": [3, 448, 448]},
    }
    model = load(folder(tmp_path / "timm", peer, config=config), strict=True, report=None)
    image = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        assert deviation(model(image), peer(image)) <= 1e-6
    assert model.info.preprocessing.size_hw == (448, 448)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"act_layer": "relu"}, "act_layer is 'relu'"),
        ({"norm_layer": "rmsnorm"}, "norm_layer"),
        ({"global_pool": "max"}, "global_pool"),
        ({"always_partition": True}, "always_partition"),
        ({"img_size": "large"}, "img_size is 'large'"),
        ({"window_size": [7, None]}, "window_size"),
    ],
)
def test_timm_arguments_that_cannot_be_obeyed(
    tmp_path: Path, args: dict[str, Any], words: str
) -> None:
    config = {"architecture": "swin_tiny_patch4_window7_224", "model_args": args}
    assert words in message(folder(tmp_path / "timm", timm_v1(), config=config))


# transformers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_act", "relu"),
        ("hidden_act", "gelu_new"),
        ("hidden_act", ["gelu"]),
        ("layer_norm_eps", 1e-6),
        ("layer_norm_eps", "small"),
        ("window_size", "seven"),
        ("image_size", [1, 2, 3]),
    ],
)
def test_transformers_settings_that_cannot_be_obeyed(tmp_path: Path, name: str, value: Any) -> None:
    peer = huggingface(1)
    config = {**peer.config.to_dict(), name: value}
    assert name in message(folder(tmp_path / "hf", peer, config=config))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_rescale": False},
        {"do_normalize": False},
        {"do_normalize": "false"},
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False, "do_normalize": False},
        {"resample": 0},
        {"resample": 2},
        {"resample": "bicubic"},
    ],
)
def test_transformers_processor_is_obeyed(tmp_path: Path, settings: dict[str, Any]) -> None:
    from transformers import ViTImageProcessor

    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 224, "width": 224},
        "resample": 3,
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.3, 0.4],
        **settings,
    }
    place = folder(tmp_path / "hf", huggingface(1), preprocessor_config=processor)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    ours = load(place, report=None).info.preprocessing(pixels)  # type: ignore[operator,union-attr]
    known = {**processor, "do_normalize": processor.get("do_normalize") not in (False, "false")}
    del known["resample"]
    theirs = ViTImageProcessor(**known)(Image.fromarray(pixels), return_tensors="np")
    wanted = theirs["pixel_values"][0]
    assert np.abs(ours - wanted).max() <= 1e-5 * np.abs(wanted).max()
    filters = {0: "nearest", 2: "bilinear", 3: "bicubic", "bicubic": "bicubic"}
    loaded = load(place, report=None).info.preprocessing  # type: ignore[union-attr]
    assert loaded.interpolation == filters[processor["resample"]]  # type: ignore[union-attr,index]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_mean", 3),
        ("image_mean", [0.5, "x", 0.5]),
        ("image_std", [0, 0, 0]),
        ("resample", 9),
        ("resample", {}),
        ("do_normalize", "perhaps"),
        ("do_resize", False),
        ("rescale_factor", 0),
        ("crop_pct", 7),
    ],
)
def test_transformers_processor_that_cannot_be_obeyed(
    tmp_path: Path, name: str, value: Any
) -> None:
    place = folder(tmp_path / "hf", huggingface(1), preprocessor_config={name: value})
    text = message(place)
    assert name in text
    assert str(place) in text


OUT = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}


def test_maskformer_norms() -> None:
    from transformers import MaskFormerSwinConfig
    from transformers.models.maskformer.modeling_maskformer_swin import MaskFormerSwinBackbone

    config = MaskFormerSwinConfig(
        window_size=7, embed_dim=DIM, depths=list(DEPTHS), num_heads=list(HEADS), **OUT
    )
    peer = strengthen(MaskFormerSwinBackbone(config))
    prefix = "model.pixel_level_module.encoder."
    state = {prefix + name: value for name, value in peer.state_dict().items()}
    model, image = load(state, strict=True, report=None), torch.randn(1, 3, 200, 232)
    with torch.no_grad():
        for ours, theirs in zip(model(image), peer(image).feature_maps, strict=True):
            assert deviation(ours, theirs) <= 1e-5


def test_donut_classifier_is_refused_and_its_backbone_read() -> None:
    from transformers import DonutSwinConfig
    from transformers.models.donut.modeling_donut_swin import DonutSwinForImageClassification

    config = DonutSwinConfig(
        window_size=7, embed_dim=DIM, depths=list(DEPTHS), num_heads=list(HEADS), num_labels=5
    )
    peer = strengthen(DonutSwinForImageClassification(config))
    state, image = dict(peer.state_dict()), torch.randn(1, 3, 224, 224)
    assert "task='backbone'" in message(state)
    with torch.no_grad():
        theirs = peer.donut(image).last_hidden_state
        ours = load(state, task="backbone", report=None)(image)[-1].flatten(2).transpose(1, 2)
    assert deviation(ours, theirs) <= 1e-5


@pytest.mark.parametrize("version", [1, 2])
def test_upernet_settings_are_nested(tmp_path: Path, version: int) -> None:
    from transformers import UperNetConfig, UperNetForSemanticSegmentation

    backbone = huggingface_config(version, **OUT)
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=16,
        num_labels=5,
        auxiliary_in_channels=4 * DIM,
        auxiliary_channels=8,
    )
    peer = strengthen(UperNetForSemanticSegmentation(config))
    peer.save_pretrained(tmp_path)
    image = torch.randn(1, 3, backbone.image_size, backbone.image_size)
    with torch.no_grad():
        if version == 1:
            ours: Any = [load(tmp_path, report=None)(image)]
            theirs: Any = [peer(image).logits]
        else:  # its maps are not normed, which swinkit's decoder cannot have
            assert "without a norm" in message(tmp_path)
            ours = load(tmp_path, task="backbone", strict=True, report=None)(image)
            theirs = peer.backbone(image).feature_maps
    for one, other in zip(ours, theirs, strict=True):
        assert deviation(one, other) <= 1e-5
    values = json.loads((tmp_path / "config.json").read_text())
    values["backbone_config"]["hidden_act"] = "relu"
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert "hidden_act" in message(tmp_path, task="backbone")


def test_sharded_safetensors(tmp_path: Path) -> None:
    peer = huggingface(1)
    peer.save_pretrained(tmp_path, max_shard_size="200KB")
    index = tmp_path / "model.safetensors.index.json"
    assert index.is_file()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        ours = load(tmp_path, strict=True, report=None)(image)
        assert deviation(ours, peer(image).logits) <= 1e-5
    places = json.loads(index.read_text())
    places["weight_map"]["classifier.bias"] = "../elsewhere.safetensors"
    index.write_text(json.dumps(places))
    assert "beside it" in message(tmp_path)
    next(tmp_path.glob("model-00001*")).unlink()
    places["weight_map"]["classifier.bias"] = "model-00002-of-00002.safetensors"
    index.write_text(json.dumps(places))
    assert "model-00" in message(tmp_path)


# Windows


def test_a_window_that_is_given_is_the_window() -> None:
    peer = torchvision_swin(2, (8, 8))
    state = {name: value for name, value in peer.state_dict().items() if "relative_" not in name}
    image = torch.randn(1, 3, 128, 128)
    for weights in (dict(peer.state_dict()), state):
        model = load(weights, image_size=128, window_size=8, pretrained_window_size=0, report=None)
        assert model.backbone.config.windows == ((8, 8),) * 4  # type: ignore[union-attr]
        with torch.no_grad():
            assert deviation(model(image), peer(image)) <= 1e-5


def test_windows_that_the_source_shrinks_are_noted() -> None:
    reports: list[Any] = []
    state = {k: v for k, v in huggingface(2).state_dict().items() if "relative_" not in k}
    load(state, image_size=128, window_size=8, pretrained_window_size=0, report=reports.append)
    assert any("stage 4 to 4x4" in note for note in reports[0].notes)


@pytest.mark.parametrize(("size", "window"), [(192, 7), (384, 24)])
def test_transformers_cannot_run_windows_larger_than_a_map(
    tmp_path: Path, size: int, window: int
) -> None:
    model = load(dict(timm_v1(size=1024, window=window).state_dict()), report=None)
    state = dict(model.state_dict())
    with pytest.raises(CheckpointError, match="stage 4"):
        convert(state, tmp_path / "hf", to="huggingface", image_size=size, report=None)
