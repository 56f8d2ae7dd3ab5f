"""`swinkit evaluate` with detectors and segmenters: the weights decide what is measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo_shapes import write_shapes
from swinkit.checkpoints.save import save
from swinkit.cli import main
from swinkit.detection.data.splits import load_detection_samples
from swinkit.detection.model import create_detector
from swinkit.images.fitting import Fit
from swinkit.segmentation.model import create_segmenter

SCENE_NAMES = ("sky", "road")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("evaluate")
    write_shapes(root / "shapes", train=2, val=1, test=2, seed=0)
    names = load_detection_samples(root / "shapes")[1].class_names
    fit = Fit(short_side=64, long_side=96)
    detector = create_detector("retinanet_swin_nano", class_names=names, fit=fit)
    save(detector, root / "detector.safetensors")
    fit = Fit(short_side=None, long_side=None, divisor=1)
    save(
        create_segmenter("unet_swin_nano", class_names=SCENE_NAMES, fit=fit),
        root / "segmenter.safetensors",
    )
    _write_scenes(root / "scenes")
    return root


def _write_scenes(root: Path) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 255, (48, 64, 3)).astype(np.uint8)
            mask = (np.arange(48) > 24)[:, None].repeat(64, 1).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / split / f"{number}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"{number}.png")
    (root / "classes.txt").write_text("\n".join(SCENE_NAMES))


def evaluate(folder: Path, weights: str, data: str, *flags: object) -> int:
    words = ["evaluate", "--weights", folder / weights, "--data", folder / data, *flags]
    return main([*map(str, words), "--device", "cpu"])


def test_a_detector(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--out", tmp_path / "out", "--max-detections", 20, "--score", 0.2]
    assert evaluate(folder, "detector.safetensors", "shapes", *flags) == 0
    printed = capsys.readouterr().out
    assert "box AP" in printed
    assert "at most 20" in printed
    assert "at score 0.20" in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["images"] == 2
    assert report["box"]["max_detections"] == 20
    for name in ("per_class.csv", "pr_curves.png", "predictions.png", "worst_misses.png"):
        assert (tmp_path / "out" / name).is_file()


def test_a_detector_looks_several_times(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--split", "val", "--max-detections", 5, "--augment", "--scales", 1]
    assert evaluate(folder, "detector.safetensors", "shapes", *flags) == 0
    assert "1 images" in capsys.readouterr().out


def test_a_segmenter(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--out", tmp_path / "out", "--window", 32, "--augment", "--scales", 1]
    assert evaluate(folder, "segmenter.safetensors", "scenes", *flags) == 0
    assert "mIoU" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 2
    for name in ("per_class.csv", "confusion_matrix.png", "predictions.png", "worst_images.png"):
        assert (tmp_path / "out" / name).is_file()


def test_unsound_data_is_named_and_the_rest_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = folder / "scenes" / "images" / "val" / "stray.png"
    Image.new("RGB", (64, 48)).save(stray)
    try:
        assert evaluate(folder, "segmenter.safetensors", "scenes") == 0
    finally:
        stray.unlink()
    captured = capsys.readouterr()
    assert "2 images" in captured.out
    assert "stray.png" in captured.err


@pytest.mark.parametrize(
    ("weights", "data", "flags", "words"),
    [
        ("detector.safetensors", "shapes", ("--window", 32), ("--window", "segmenter")),
        ("segmenter.safetensors", "scenes", ("--score", 0.5), ("--score", "detector")),
        ("segmenter.safetensors", "scenes", ("--workers", 1), ("--workers", "classifier")),
        ("detector.safetensors", "shapes", ("--score", 2), ("score is 2",)),
        ("detector.safetensors", "shapes", ("--batch-size", 0), ("batch-size is 0",)),
        ("detector.safetensors", "shapes", ("--max-detections", 0), ("max-detections is 0",)),
        ("segmenter.safetensors", "shapes", (), ("shapes",)),
        ("detector.safetensors", "nowhere", (), ("nowhere",)),
    ],
)
def test_refusals_are_one_line(
    folder: Path,
    weights: str,
    data: str,
    flags: tuple[object, ...],
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate(folder, weights, data, *flags) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    for word in words:
        assert word in said[0]
