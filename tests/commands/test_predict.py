"""`swinkit predict` with detectors and segmenters: every output, every refusal."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from swinkit.checkpoints.save import save
from swinkit.cli import main
from swinkit.detection.model import create_detector
from swinkit.images.fitting import Fit
from swinkit.segmentation.model import create_segmenter

NAMES = ("bolt", "nut", "ring")
FIT = Fit(short_side=64, long_side=128)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table folds long paths; the folder of a test may have any length."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    save(
        create_detector("mask_rcnn_swin_nano", class_names=NAMES, fit=FIT),
        root / "mask.safetensors",
    )
    save(
        create_detector("retinanet_swin_nano", class_names=NAMES, fit=FIT), root / "box.safetensors"
    )
    fit = Fit(short_side=None, long_side=None, divisor=1)
    save(
        create_segmenter("upernet_swin_nano", class_names=NAMES, fit=fit), root / "map.safetensors"
    )
    generator = np.random.default_rng(0)
    (root / "frames").mkdir()
    for number in (2, 10):
        pixels = generator.integers(0, 255, (48, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "frames" / f"{number}.png")
    return root


def predict(folder: Path, weights: str, *flags: object) -> int:
    sources = ["predict", str(folder / "frames"), "--weights", str(folder / weights)]
    return main([*sources, "--device", "cpu", *map(str, flags)])


def test_a_detector_writes_coco_results(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--json", out / "a.json", "--csv", out / "a.csv", "--plot", out / "plots"]
    assert (
        predict(folder, "mask.safetensors", *flags, "--masks", out / "masks", "--score", 0.2) == 0
    )
    printed = capsys.readouterr().out
    assert "objects" in printed
    assert printed.index("2.png") < printed.index("10.png")
    entries = json.loads((out / "a.json").read_text())
    assert {entry["image_id"] for entry in entries} == {2, 10}
    assert {entry["category_name"] for entry in entries} <= set(NAMES)
    first = entries[0]
    assert first["category_id"] == NAMES.index(first["category_name"]) + 1
    assert coco_mask.decode(first["segmentation"]).shape == (48, 70)
    with (out / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(entries)
    left, _, width, _ = first["bbox"]
    assert float(rows[0]["left"]) == pytest.approx(left, abs=0.01)
    assert float(rows[0]["right"]) == pytest.approx(left + width, abs=0.01)
    assert sorted(path.name for path in (out / "plots").iterdir()) == ["10.png", "2.png"]
    with Image.open(out / "masks" / "2.png") as picture:
        numbers = np.asarray(picture)
    assert numbers.shape == (48, 70)
    assert 0 < numbers.max() <= sum(entry["image_id"] == 2 for entry in entries)


def test_ids_of_an_annotation_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "truth.json"
    content = {
        "images": [{"file_name": "x/2.png", "id": 70}, {"file_name": "10.png", "id": 71}],
        "categories": [{"name": name, "id": 10 * k} for k, name in enumerate(NAMES, 1)],
    }
    file.write_text(json.dumps(content))
    flags = ["--coco", file, "--json", "-", "--score", 0.0]
    assert predict(folder, "box.safetensors", *flags) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["image_id"] for entry in entries} == {70, 71}
    assert {entry["category_id"] for entry in entries} <= {10, 20, 30}
    content["categories"].pop()
    file.write_text(json.dumps(content))
    assert predict(folder, "box.safetensors", *flags) == 2
    assert "'ring'" in capsys.readouterr().err
    file.write_text("[]")
    assert predict(folder, "box.safetensors", *flags) == 2
    assert "no COCO annotation file" in capsys.readouterr().err


def test_tiles_and_views_of_a_detector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--json", "-", "--score", 0.0, "--batch-size", 2]
    assert predict(folder, "box.safetensors", *flags, "--tile", 40, "--overlap", 0.3) == 0
    assert len(json.loads(capsys.readouterr().out)) > 0
    assert predict(folder, "box.safetensors", *flags, "--augment", "--scales", 0.5, 1) == 0
    assert len(json.loads(capsys.readouterr().out)) > 0
    assert predict(folder, "box.safetensors", *flags, "--image-size", 96) == 0
    larger = capsys.readouterr().out
    assert predict(folder, "box.safetensors", *flags, "--image-size", "original") == 0
    original = capsys.readouterr().out
    assert original != larger
    assert predict(folder, "box.safetensors", *flags, "--soft-nms", "linear") == 0
    assert capsys.readouterr().out not in (larger, original)


def test_a_segmenter_writes_maps(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--json", out / "a.json", "--csv", out / "a.csv", "--plot", out / "plots"]
    window = ["--window", 32, "--stride", 20, "--batch-size", 2]
    assert predict(folder, "map.safetensors", *flags, "--masks", out / "masks", *window) == 0
    assert "48x70" in capsys.readouterr().out
    answers = json.loads((out / "a.json").read_text())
    assert [Path(answer["source"]).name for answer in answers] == ["2.png", "10.png"]
    with Image.open(out / "masks" / "10.png") as picture:
        labels = np.asarray(picture)
    for entry in answers[1]["classes"]:
        assert (labels == NAMES.index(entry["label"])).sum() == entry["pixels"]
    with (out / "a.csv").open(newline="") as file:
        shares = [float(row["share"]) for row in csv.DictReader(file)]
    assert sum(shares) == pytest.approx(2, abs=1e-4)
    assert (out / "plots" / "2.png").is_file()
    assert predict(folder, "map.safetensors", "--augment", "--scales", 1, 1.5) == 0


@pytest.mark.parametrize(
    ("weights", "flags", "words"),
    [
        ("box.safetensors", ["--window", "32"], ["--window", "segmenter", "holds a detector"]),
        ("map.safetensors", ["--tile", "32"], ["--tile", "detector", "holds a segmenter"]),
        ("map.safetensors", ["--top-k", "1"], ["--top-k", "classifier"]),
        ("box.safetensors", ["--masks", "out"], ["no masks"]),
        ("box.safetensors", ["--score", "1.5"], ["score is 1.5"]),
        ("box.safetensors", ["--tile", "32", "--overlap", "0.95"], ["overlap is 0.95"]),
        ("map.safetensors", ["--window", "32", "--stride", "40"], ["stride"]),
        ("map.safetensors", ["--stride", "40"], ["stride without window"]),
        ("map.safetensors", ["--augment", "--scales", "0"], ["scales"]),
        ("box.safetensors", ["--augment", "--scales", "0.001"], ["short_sides"]),
        ("box.safetensors", ["--coco", "gone.json"], ["gone.json"]),
        ("box.safetensors", ["--tile", "0"], ["tile is"]),
        ("gone.pth", ["--score", "nan"], ["score is nan"]),
        ("gone.pth", ["--score", "-inf"], ["score is -inf"]),
        ("gone.pth", ["--scales", "1", "nan"], ["scales is 1.0 nan"]),
        ("gone.pth", ["--scales", "inf"], ["scales is inf"]),
        ("gone.pth", ["--overlap", "2"], ["overlap is 2"]),
        ("gone.pth", ["--tile", "-1"], ["tile is -1"]),
        ("gone.pth", ["--window", "-3"], ["window is -3"]),
        ("gone.pth", ["--stride", "0"], ["stride is 0"]),
        ("gone.pth", ["--top-k", "0"], ["top-k is 0"]),
        ("gone.pth", ["--batch-size", "0"], ["batch-size is 0"]),
        ("gone.pth", ["--image-size", "-5"], ["image-size is -5"]),
        ("gone.pth", ["--image-size", "1000000"], ["image-size is 1000000"]),
        ("gone.pth", ["--json", ""], ["empty word after --json"]),
        ("gone.pth", ["--json="], ["empty word after --json"]),
        ("gone.pth", ["--json", "/proc/a.json"], ["cannot write /proc/a.json"]),
        ("gone.pth", ["--csv", "x" * 256], ["File name too long"]),
        ("gone.pth", ["--json", "-", "--csv", "-"], ["cannot both be printed"]),
    ],
)
def test_refuses_in_one_line(
    folder: Path,
    weights: str,
    flags: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert predict(folder, weights, *flags) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]
