"""State dicts inside what other programs keep around them, and files of other kinds."""

import collections
import pathlib
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_peers import timm_v1

from swinkit.checkpoints.load import load
from swinkit.errors import CheckpointError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return dict(timm_v1().state_dict())


def message(source: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(source, report=None)
    return str(caught.value)


def same(model: Any, state: State) -> bool:
    return torch.equal(model.state_dict()["head.fc.weight"], state["head.fc.weight"])


@pytest.mark.parametrize("prefix", ["", "module.model."])
@pytest.mark.parametrize(
    "wrapper",
    [
        "model_state_dict",
        "student",
        "teacher",
        "params",
        "params_ema",
        "ema_state_dict",
        "weights",
        "network",
        "state",
        "encoder",
        "state_dict",
        "model",
    ],
)
def test_wrappers(state: State, wrapper: str, prefix: str) -> None:
    inside = {prefix + name: value for name, value in state.items()}
    content = {"epoch": 3, wrapper: inside, "optimizer": {"state": {}, "param_groups": []}}
    assert same(load(content, strict=True, report=None), state)


def test_averaged_weights_and_the_teacher_come_first(state: State) -> None:
    other = {name: value + 1 for name, value in state.items()}
    for first, second in (("params_ema", "params"), ("teacher", "student")):
        reports: list[Any] = []
        assert same(load({second: other, first: state}, report=reports.append), state)
        assert any(first in note and second in note for note in reports[0].notes)


def test_keys_that_were_there_are_named() -> None:
    text = message({"epoch": 3, "my_weights": {"a": 1}})
    assert "epoch" in text
    assert "my_weights" in text


def test_harmless_companions(tmp_path: Path, state: State, monkeypatch: Any) -> None:
    local = types.ModuleType("pathlib._local")
    for name in ("PosixPath", "WindowsPath"):
        kind = type(name, (), {"__module__": "pathlib._local"})
        setattr(local, name, kind)
    if "pathlib._local" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pathlib._local", local)
        extra: dict[str, Any] = {"a": local.PosixPath(), "b": local.WindowsPath()}
    else:
        extra = {}
    windows = type("WindowsPath", (), {"__module__": "pathlib"})
    monkeypatch.setattr(pathlib, "WindowsPath", windows)
    history = collections.defaultdict(list, loss=[1.0, 2.0])
    content = {
        "model": collections.defaultdict(dict, state),
        "history": history,
        "output": windows(),
        "path": Path("x"),
        **extra,
    }
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        assert same(load(path, strict=True, report=None), state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_pickles_of_arrays(tmp_path: Path, state: State, protocol: int, suffix: str) -> None:
    arrays = {name: value.numpy() for name, value in state.items()}
    arrays["head.fc.weight"] = np.asfortranarray(arrays["head.fc.weight"].astype(">f4"))
    path = tmp_path / f"weights{suffix}"
    for content in (arrays, {"model": arrays, "__author__": "x", "matching_heuristics": True}):
        path.write_bytes(pickle.dumps(content, protocol))
        reports: list[Any] = []
        assert same(load(path, strict=True, report=reports.append), state)
    assert any("detectron2" in note for note in reports[0].notes)


def test_pickles_of_anything_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    for content in (
        {"a": np.array([object], dtype=object)},
        {"a": Path("x")},
        {"a": print},
        [1, 2],
        {"a": np.array(["text"])},
    ):
        path.write_bytes(pickle.dumps(content))
        assert str(path) in message(path)
    good = pickle.dumps({"a": np.zeros(100)})
    path.write_bytes(good[:-20])
    assert "truncated" in message(path)
    path.write_bytes(good.replace(b"f8", b"O8"))
    assert str(path) in message(path)


@pytest.mark.filterwarnings("ignore")
def test_programs_are_called_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    layer = torch.nn.Linear(2, 2)
    scripted = torch.jit.trace(layer, torch.zeros(1, 2))
    torch.jit.save(scripted, path)
    assert "TorchScript" in message(path)
    torch.export.save(torch.export.export(layer, (torch.zeros(1, 2),)), tmp_path / "e.pt2")
    (tmp_path / "e.pt2").rename(tmp_path / "e.pt")
    assert "exported program" in message(tmp_path / "e.pt")


def test_swin_v2_of_mmpretrain_is_called_by_its_name() -> None:
    text = message(
        {
            "backbone.stages.0.blocks.0.attn.w_msa.qkv.weight": torch.zeros(48, 16),
            "backbone.stages.0.blocks.0.attn.w_msa.logit_scale": torch.zeros(1, 1, 1),
        }
    )
    assert "mmpretrain's Swin V2" in text
