"""Places that cannot be written are refused before the weights are looked for."""

from pathlib import Path

import pytest
from PIL import Image

from swinkit.cli import main

PREDICT = "predict {photo} --weights nowhere.pth"


@pytest.mark.parametrize(
    "words",
    [
        f"{PREDICT} --plot {{file}}",
        f"{PREDICT} --masks {{file}}/below",
        f"{PREDICT} --json {{file}}/below.json",
        f"{PREDICT} --csv {{folder}}",
        f"{PREDICT} --plot {{long}}",
        "evaluate --weights nowhere.pth --data {folder} --out {file}",
        "inspect {folder} --out {file}",
        "embed {photo} --weights nowhere.pth --out {file}/below.npz",
        "convert nowhere.pth {file}/below.pth --to timm",
        "train {folder} --task classification --out {file}/run",
        "train {folder} --task classification --out {long}",
    ],
)
def test_refused_at_once(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder, photo = tmp_path / "file", tmp_path / "folder", tmp_path / "photo.png"
    file.write_text("x")
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(photo)
    places = {"file": file, "folder": folder, "photo": photo, "long": tmp_path / ("x" * 256)}
    assert main(words.format(**places).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"swinkit: error: cannot write {tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "photo.png"]
