"""Segmenters from and for mmseg, the official fork and transformers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import deviation
from dense_peers import golden, official, same_tensors, segmenter, shaken, state_of
from torch import nn

from swinkit.checkpoints.convert import convert, export_tensors
from swinkit.checkpoints.load import load
from swinkit.segmentation.model import SwinSegmenter

NAME = "mm_upernet_case1"


def quiet(source: Any, **settings: Any) -> SwinSegmenter:
    model = load(source, report=None, **settings)
    assert isinstance(model, SwinSegmenter)
    return model


@pytest.mark.parametrize("layout", ["mmseg", "microsoft"])
def test_golden_logits_and_exact_way_back(golden_dir: Path, layout: Any, tmp_path: Path) -> None:
    values = golden(golden_dir, NAME)
    state = state_of(values)
    state = state if layout == "mmseg" else official(state)
    model = quiet(state, strict=True)
    with torch.no_grad():
        decoded, auxiliary = model.decode(values["input.image"])
    assert auxiliary is not None
    assert deviation(decoded, values["out.decode.logits"]) <= 1e-5
    assert deviation(auxiliary, values["out.aux.logits"]) <= 1e-5
    out = convert(state, tmp_path / "m.pth", to=layout, strict=True, report=None)
    assert same_tensors(torch.load(out, weights_only=True)["state_dict"], state)


@pytest.mark.parametrize("layout", ["mmseg", "microsoft", "huggingface", "native"])
@pytest.mark.parametrize(
    "settings", [{}, {"auxiliary_stage": None}, {"auxiliary_convs": 2}], ids=str
)
def test_round_trip_is_bit_exact(tmp_path: Path, layout: Any, settings: dict[str, Any]) -> None:
    model = segmenter(**settings)
    name = {"huggingface": "folder", "native": "m.safetensors"}.get(layout, "m.pth")
    out = convert(model, tmp_path / name, to=layout, report=None)
    back = quiet(out, strict=True)
    assert same_tensors(back.state_dict(), model.state_dict())
    if "auxiliary_stage" not in settings or layout == "native":
        assert back.config == model.config


@pytest.mark.parametrize("stage", [None, 1])
def test_unet_keeps_its_own_names(tmp_path: Path, stage: int | None) -> None:
    model = segmenter(decoder="unet", auxiliary_stage=stage)
    out = convert(model, tmp_path / "m.safetensors", to="native", report=None)
    for source in (out, model.state_dict()):
        back = quiet(source, strict=True)
        assert same_tensors(back.state_dict(), model.state_dict())
        assert back.config.decoder == "unet"
        assert back.config.auxiliary_stage == stage


def upernet(**settings: Any) -> nn.Module:
    from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

    backbone = SwinConfig(
        embed_dim=8,
        depths=[2, 1, 1, 1],
        num_heads=[1, 2, 4, 8],
        window_size=7,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    values = {
        "hidden_size": 12,
        "auxiliary_channels": 10,
        "auxiliary_in_channels": 32,
        "num_labels": 5,
        **settings,
    }
    return shaken(UperNetForSemanticSegmentation(UperNetConfig(backbone_config=backbone, **values)))


@pytest.mark.parametrize(
    "settings", [{}, {"use_auxiliary_head": False}, {"pool_scales": [1, 2, 4]}], ids=str
)
def test_transformers_gives_the_same_logits(tmp_path: Path, settings: dict[str, Any]) -> None:
    peer = upernet(**settings)
    peer.save_pretrained(tmp_path)  # type: ignore[operator]
    image = torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        expected = peer(image).logits
        assert deviation(quiet(tmp_path, strict=True)(image), expected) <= 1e-5
        if "pool_scales" not in settings:
            assert deviation(quiet(peer.state_dict(), strict=True)(image), expected) <= 1e-5


def test_transformers_opens_the_folder(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, UperNetForSemanticSegmentation

    model = segmenter()
    model.info = replace(model.info, class_names=("a", "b", "c", "d", "e"))
    convert(model, tmp_path, to="huggingface", report=None)
    peer, info = UperNetForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert all("swin.layernorm" in key for key in info["missing_keys"])  # it never uses that one
    assert not info["unexpected_keys"]
    assert peer.config.id2label[2] == "c"
    assert AutoImageProcessor.from_pretrained(tmp_path) is not None
    image = torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        assert deviation(peer.eval()(image).logits, model(image)) <= 1e-5
    assert quiet(tmp_path).class_names == model.class_names


def test_another_number_of_classes() -> None:
    model = segmenter()
    reports: list[Any] = []
    moved = load(model.state_dict(), num_classes=3, strict=True, report=reports.append)
    assert moved(torch.randn(1, 3, 64, 64)).shape == (1, 3, 64, 64)
    assert set(reports[0].initialized) == {
        f"{head}.logits.{leaf}" for head in ("head", "auxiliary") for leaf in ("weight", "bias")
    }
    own, new = model.state_dict(), moved.state_dict()
    assert torch.equal(own["head.fuse.conv.weight"], new["head.fuse.conv.weight"])


def test_names_of_ade20k_by_their_number() -> None:
    model = quiet(segmenter(num_classes=150).state_dict())
    assert (model.class_names[0], model.class_names[-1]) == ("wall", "flag")
    assert len(set(model.class_names)) == 150


def test_the_stem_of_a_unet_follows_the_bands() -> None:
    model = segmenter(decoder="unet", auxiliary_stage=None)
    moved = quiet(model.state_dict(), in_channels=1, strict=True)
    gray = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert deviation(moved(gray), model(gray.expand(1, 3, 64, 64))) <= 1e-5


def test_pooling_grids_recorded_by_mmseg() -> None:
    state = export_tensors(segmenter(pool_scales=(1, 2, 4)), "mmseg", (224, 224))
    text = "model = dict(type='EncoderDecoder', decode_head=dict(pool_scales=(1, 2, 4)))"
    model = quiet({"meta": {"config": text}, "state_dict": state}, strict=True)
    assert model.config.pool_scales == (1, 2, 4)
