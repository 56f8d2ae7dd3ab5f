"""`swinkit inspect` on every task, through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo_shapes import write_shapes
from swinkit.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", train=5, val=2, test=0)


def run(*arguments: object) -> int:
    return main(["inspect", *map(str, arguments)])


def test_shapes(shapes_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(shapes_folder, "--out", tmp_path, "--pictures", 3) == 0
    printed = capsys.readouterr().out
    for word in ("detection, coco, boxes and masks", "triangle", "160x160: 5", "no problems found"):
        assert word in printed
    assert (tmp_path / "index.html").read_text().count("<figure>") == 3
    with Image.open(tmp_path / "pictures.png") as sheet:
        # Masks and boxes are drawn in colors that the picture itself does not have.
        assert np.asarray(sheet).std() > 20


def test_problems_are_shown_and_strict_refuses(
    shapes_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    values = json.loads((shapes_folder / "annotations" / "train.json").read_text())
    values["annotations"][0]["bbox"] = [0, 0, 0, 0]
    values["images"][1]["file_name"] = "gone.png"
    broken = tmp_path / "broken"
    (broken / "annotations").mkdir(parents=True)
    (broken / "images").symlink_to(shapes_folder / "images")
    (broken / "annotations" / "train.json").write_text(json.dumps(values))
    assert run(broken, "--out", tmp_path / "a") == 0
    printed = capsys.readouterr().out
    assert "problem: missing image: 1" in printed
    assert "problem: box of zero area: 1" in printed
    assert run(broken, "--out", tmp_path / "b", "--strict") == 2
    captured = capsys.readouterr()
    assert "refused because of strict" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert (tmp_path / "b" / "index.html").is_file()


def test_real_sets(data_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(data_dir / "bccd", "--out", tmp_path, "--pictures", 2) == 0
    printed = capsys.readouterr().out
    assert "coco was read" in printed
    assert "2381" in printed
    assert run(data_dir / "bccd", "--kind", "voc", "--out", tmp_path, "--pictures", 1) == 0
    assert "box of zero area: 2" in capsys.readouterr().out


def test_classes(flat_classes: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(flat_classes, "--out", tmp_path / "page") == 0
    printed = capsys.readouterr().out
    assert "classification" in printed
    assert "bird" in printed


@pytest.fixture
def flat_classes(tmp_path: Path, write_noise: Callable[[Path], None]) -> Path:
    for name in ("cat", "bird"):
        for number in range(4):
            write_noise(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def write_noise() -> Callable[[Path], None]:
    """Writes a small image of noise."""

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(path.name)).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(path)

    return write


def test_scenes(tmp_path: Path, write_noise: Callable[[Path], None], capsys: Capture) -> None:
    for split in ("train", "val"):
        for number in range(3):
            write_noise(tmp_path / "images" / split / f"{number}.png")
            mask = np.zeros((20, 24), np.uint8)
            mask[:, 10:] = 1
            mask[0] = 255
            (tmp_path / "masks" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(tmp_path / "masks" / split / f"{number}.png")
    (tmp_path / "classes.txt").write_text("road\nsky\n")
    assert run(tmp_path, "--out", tmp_path / "page") == 0
    printed = capsys.readouterr().out
    assert "segmentation, masks" in printed
    assert "39.58 %" in printed
    assert "does not count" in printed
    assert "<i style='background" in (tmp_path / "page" / "index.html").read_text()


def test_what_cannot_be_inspected(tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, "--out", tmp_path / "page") == 2
    assert "looked for" in capsys.readouterr().err
    assert run(tmp_path / "absent") == 2
    assert "check the path" in capsys.readouterr().err
    assert run(tmp_path, "--pictures", -1) == 2
    assert "pictures is -1" in capsys.readouterr().err
