"""Damaged, unsafe and foreign files: one line that says what, where and what to do."""

import argparse
import errno
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import timm_v1
from safetensors.torch import save_file

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints import save as saving
from swinkit.checkpoints.convert import convert
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.errors import CheckpointError, SwinkitError


class Bomb:
    """Pickles as a call of os.mkdir."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def message(source: Any, **settings: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(source, report=None, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return dict(timm_v1().state_dict())


def test_missing_path_and_unknown_name(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "nothing.pth")
    assert "no such file" in message("runs/best.safetensors")  # and is not asked for at the hub
    assert "swinkit models" in message("swin_enormous")
    assert "model.safetensors" in message(tmp_path)
    (tmp_path / "weights.xyz").write_bytes(b"1")
    assert ".safetensors" in message(tmp_path / "weights.xyz")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 40, 0.5, 0.99])
def test_truncated(
    tmp_path: Path, state: dict[str, torch.Tensor], suffix: str, kept: float
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept) if kept >= 1 else int(kept * len(content))])
    assert "truncated" in message(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path, folder = tmp_path / "evil.pth", tmp_path / "made"
    content = {"model": {}, "hook": Bomb(folder)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert "never does" in message(path)
    assert not folder.exists()
    path.write_bytes(pickle.dumps(content))
    assert str(path) in message(path)
    assert not folder.exists()


def test_harmless_settings_beside_weights_are_passed_over(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "trained.pth"
    torch.save({"model": state, "args": argparse.Namespace(lr=0.1, names=["a"])}, path)
    assert load(path, strict=True, report=None) is not None


@pytest.mark.parametrize("zipped", [True, False])
def test_settings_of_yacs_as_microsoft_saved_them(
    tmp_path: Path,
    state: dict[str, torch.Tensor],
    zipped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    for name in ("yacs", "yacs.config"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["yacs.config"].CfgNode = node  # type: ignore[attr-defined]
    content = {"model": state, "config": node(MODEL=node(NAME="swin"), LIST=[1]), "epoch": 3}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    assert load(tmp_path / "x.pth", strict=True, report=None) is not None


def test_nan_names_the_tensor(state: dict[str, torch.Tensor]) -> None:
    broken = dict(state)
    broken["layers.2.blocks.1.mlp.fc1.bias"] = broken["layers.2.blocks.1.mlp.fc1.bias"] * torch.nan
    assert "layers.2.blocks.1.mlp.fc1.bias" in message(broken)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("cls_token", "blocks.0.attn.qkv.weight"), "plain vision transformer"),
        (("layer1.0.conv1.weight", "fc.weight"), "ResNet"),
        (("stages.0.blocks.0.attn.meta_mlp.fc1.weight",), "Swin V2 CR"),
        (("layers.0.blocks.0.spatial_mlp.weight",), "Swin MLP"),
        (("layers.0.residual_group.blocks.0.attn.qkv.weight",), "SwinIR"),
        (("something.else",), "something.else"),
    ],
)
def test_other_families_are_named(keys: tuple[str, ...], name: str) -> None:
    assert name in message({key: torch.zeros(2, 2) for key in keys})


def test_video_swin_is_named(state: dict[str, torch.Tensor]) -> None:
    assert "Video" in message({**state, "patch_embed.proj.weight": torch.zeros(16, 3, 2, 4, 4)})


def test_not_a_state_dict(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    assert "no tensors by name" in message(tmp_path / "list.pth")
    assert "no tensors by name" in message({"epoch": 3})


def test_contradictions(state: dict[str, torch.Tensor]) -> None:
    wrong = {**state, "layers.1.blocks.1.mlp.fc1.weight": torch.zeros(7, 32)}
    assert "fc1.weight has shape" in message(wrong)
    hole = {k: v for k, v in state.items() if not k.startswith("layers.2.blocks.0.")}
    assert "missing" in message(hole)
    wide = {**state, "layers.1.blocks.0.attn.qkv.weight": torch.zeros(120, 40)}
    assert "width doubles" in message(wide)


def test_strict_refuses_what_is_missing_unexpected_or_guessed(
    state: dict[str, torch.Tensor],
) -> None:
    missing = {k: v for k, v in state.items() if k != "layers.1.blocks.1.norm2.bias"}
    assert "missing stages.1.blocks.1.norm2.bias" in message(missing, strict=True)
    extra = {**state, "layers.1.blocks.1.surprise": torch.zeros(1)}
    assert "unexpected layers.1.blocks.1.surprise" in message(extra, strict=True)
    reports: list[Any] = []
    load(missing, report=reports.append)
    assert reports[0].missing == ["stages.1.blocks.1.norm2.bias"]
    assert "missing" in str(reports[0])


def test_backbone_as_classifier_needs_classes(state: dict[str, torch.Tensor]) -> None:
    bare = {key: value for key, value in state.items() if not key.startswith("head.")}
    assert "num_classes" in message(bare, task="classification")
    model = load(bare, task="classification", num_classes=5, report=None)
    assert model(torch.zeros(1, 3, 112, 112)).shape == (1, 5)


def tiny() -> SwinBackbone:
    return SwinBackbone(SwinConfig(embed_dim=8, depths=(1, 1), num_heads=(1, 2), norm_stages=(1,)))


def test_full_disk_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tiny(), tmp_path / "model.safetensors")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(SwinkitError, match="No space left"):
        save(tiny(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_full_disk_while_converting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SwinkitError, match="disk may be full"):
        convert(tiny(), tmp_path / "model.pth", to="timm", report=None)
    assert not list(tmp_path.iterdir())


def test_own_header_damaged_or_newer(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {name: value.contiguous() for name, value in tiny().state_dict().items()}
    save_file(tensors, path, metadata={"swinkit": "{"})
    assert "damaged" in message(path)
    header = saving.header_of(tiny())["swinkit"]
    header = header.replace('"format_version": 1', '"format_version": 9')
    save_file(tensors, path, metadata={"swinkit": header})
    assert "update swinkit" in message(path)


def test_own_files_end_in_safetensors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"end in \.safetensors"):
        save(tiny(), tmp_path / "model.pth")
