"""The network of a run from scratch fits the pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import swinkit
from swinkit.cli import main


@pytest.mark.parametrize(("side", "name"), [(32, "swin_nano_32"), (90, "swin_nano_64")])
def test_the_name_follows_the_pictures(
    side: int, name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for label, value in (("dark", 20), ("light", 230)):
        for number in range(4):
            path = tmp_path / "photos" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((side - 3, side, 3), value + number, np.uint8)).save(path)
    words = ["train", str(tmp_path / "photos"), "--recipe", "small_data", "--steps", "1"]
    words += ["--workers", "0", "--device", "cpu", "--batch-size", "2", "--runtime.no-preview"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert f"network: {name}, as the pictures are {side} pixels long" in capsys.readouterr().out
    trained = swinkit.load(tmp_path / "run" / "best.safetensors")
    assert trained.config.channels == swinkit.create_model(name).config.channels
    assert trained.preprocessing == swinkit.create_model(name).preprocessing
