"""A new source is one file and one line: with these swinkit loads its files and writes them."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import strengthen
from safetensors.torch import save_file

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints import sources
from swinkit.checkpoints.convert import convert
from swinkit.checkpoints.load import load
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError

ONE_FILE = '''
"""A package that numbers stages from 1 and keeps query, key and value apart."""

from swinkit.checkpoints.sources.base import Source
from swinkit.checkpoints.sources.tables import BLOCK, KeyTable, fuse, rename

_BLOCK = "level{stage}.{block}"
_PARTS = {leaf: tuple(f"{_BLOCK}.{part}.{leaf}" for part in "qkv") for leaf in ("weight", "bias")}
_MODULES = {
    "norm1": "before",
    "norm2": "after",
    "attention.projection": "out",
    "mlp.fc1": "wide",
    "mlp.fc2": "narrow",
}

TABLE = KeyTable(
    name="toy",
    title="the toy package",
    anchor=r"level1\\.0\\.q\\.weight",
    block=_BLOCK,
    small_map_rule="shrink_both",
    wrapper="weights",
    versions=(1,),
    rows=(
        *rename("patch_embed.projection", "cut"),
        *rename("patch_embed.norm", "cut_norm"),
        *(
            row
            for ours, theirs in _MODULES.items()
            for row in rename(f"{BLOCK}.{ours}", f"{_BLOCK}.{theirs}", first=1)
        ),
        *(fuse(f"{BLOCK}.attention.qkv.{leaf}", parts, first=1) for leaf, parts in _PARTS.items()),
        *rename(
            f"{BLOCK}.attention.position_bias.table", f"{_BLOCK}.bias", leaves=(), first=1
        ),
        *rename("stages.{stage}.merge.norm", "merge{stage}_norm"),
        *rename("stages.{stage}.merge.reduction", "merge{stage}", leaves=("weight",)),
        *rename("norms.{last}", "last_norm"),
        *rename("head.fc", "classes"),
    ),
)


class Toy(Source):
    name = "toy"
    tables = (TABLE,)
    wrappers = ("weights",)
    files_beside = ("toy.json",)

    def class_names(self, file):
        names = file.beside.get("toy.json", {}).get("names")
        return None if names is None else tuple(names)


SOURCE = Toy()
'''


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_toy_source.py").write_text(ONE_FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_toy_source", raising=False)
    monkeypatch.setitem(sources.SOURCES, "toy", "a_toy_source")  # the one line


def classifier(**settings: Any) -> SwinClassifier:
    config = SwinConfig(embed_dim=16, depths=(2, 2), num_heads=(1, 2), norm_stages=(1,), **settings)
    return strengthen(SwinClassifier(config, num_classes=3))  # type: ignore[return-value]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_there_and_back_is_exact(tmp_path: Path, suffix: str) -> None:
    model = classifier()
    reports: list[Any] = []
    path = convert(model, tmp_path / f"model{suffix}", to="toy", report=reports.append)
    assert "toy weights" in str(reports[0])
    if suffix == ".pth":
        names = torch.load(path, weights_only=True)["weights"]
        assert {"level1.0.q.weight", "merge1.weight", "classes.bias"} <= names.keys()
    back = load(path, strict=True, report=None)
    assert back.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name


def test_settings_beside_its_weights(tmp_path: Path) -> None:
    content = torch.load(
        convert(classifier(), tmp_path / "m.pth", to="toy", report=None), weights_only=True
    )
    save_file(content["weights"], tmp_path / "model.safetensors")
    (tmp_path / "toy.json").write_text(json.dumps({"names": ["a", "b", "c"]}))
    model = load(tmp_path, strict=True, report=None)
    assert model.class_names == ("a", "b", "c")  # type: ignore[union-attr]


def test_other_sources_are_told_apart(tmp_path: Path) -> None:
    for target in ("microsoft", "timm", "native"):
        path = convert(classifier(), tmp_path / "m.safetensors", to=target, report=None)
        reports: list[Any] = []
        load(path, report=reports.append)
        assert "toy" not in reports[0].source


def test_what_it_cannot_express_and_what_it_is_called(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the toy package cannot .* no Swin V2"):
        convert(classifier(version=2, window_size=8), tmp_path / "m.pth", to="toy", report=None)
    with pytest.raises(CheckpointError, match=r"choose native, .*toy"):
        convert(classifier(), tmp_path / "m.pth", to="toys", report=None)
    with pytest.raises(CheckpointError, match="toy or swinkit Swin weights"):
        load({"x": torch.zeros(1)}, report=None)


def test_the_command_offers_it(capsys: pytest.CaptureFixture[str]) -> None:
    import tyro

    from swinkit.commands import convert as command

    try:
        command = importlib.reload(command)
        with pytest.raises(SystemExit):
            tyro.cli(command.Convert, args=["--help"])
        assert "mmseg,toy" in "".join(capsys.readouterr().out.split())
    finally:
        sources.SOURCES.pop("toy")
        importlib.reload(command)
