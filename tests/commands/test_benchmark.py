"""The benchmark's table: every engine that is installed, and what is wrong said in a line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import swinkit
from swinkit import SwinClassifier, SwinConfig
from swinkit.cli import main
from swinkit.engines.base import multiplies_bfloat16
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import ModelInfo


@pytest.fixture
def weights(tmp_path: Path) -> str:
    config = SwinConfig(
        patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4, norm_stages=(1,)
    )
    info = ModelInfo(class_names=("dark", "light"), preprocessing=Preprocessing.for_size(24))
    model = SwinClassifier(config, num_classes=2, info=info)
    return str(swinkit.save(model, tmp_path / "w.safetensors"))


@pytest.mark.usefixtures("traced_once")
def test_one_table(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    for name, value in (("dark", 0), ("light", 255)):
        for number in range(5):
            path = tmp_path / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 60, (24, 24, 3))
            Image.fromarray(abs(value - noise).astype(np.uint8)).save(path)
    out = tmp_path / "numbers.json"
    words = ["benchmark", "--weights", weights, "--batch", "1", "2", "--rounds", "1"]
    words += ["--data", str(tmp_path / "data"), "--no-compiled", "--no-memory"]
    assert main([*words, "--json", str(out), "--plot", str(tmp_path / "bars.png")]) == 0
    rows = json.loads(out.read_text())["rows"]
    expected = {("eager", "fp32"), ("onnxruntime", "fp32"), ("openvino", "fp32")}
    expected |= {("openvino", "int8")}
    if multiplies_bfloat16("cpu"):
        expected |= {("eager", "bf16"), ("openvino", "bf16")}
    assert {(row["engine"], row["precision"]) for row in rows} == expected
    assert all(row["ms"]["1"] > 0 and row["ms"]["2"] > 0 for row in rows)
    exact = [row for row in rows if row["precision"] == "fp32"]
    assert all(row["same"] == 1.0 for row in exact)
    assert len({row["metrics"]["top1"] for row in exact}) == 1
    assert (tmp_path / "bars.png").stat().st_size > 5000
    assert "batch 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "either --weights or --model"),
        (["--model", "resnet50"], "no network"),
        (["--model", "swin_nano", "--rounds", "0"], "rounds"),
        (["--model", "swin_nano", "--batch", "0"], "--batch"),
    ],
)
def test_bad_settings(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
