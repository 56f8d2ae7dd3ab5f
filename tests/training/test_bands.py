"""Images of six bands and of 12 bits in 16, for all tasks: inspect, train, evaluate, predict."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from swinkit import evaluate, inspect, load, train
from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError

SIDE = 32
BAND = 4  # the fifth: the only one that differs
DEEP = 4095  # 12 bits


def six_bands(random: np.random.Generator, marked: np.ndarray) -> np.ndarray:
    """(H, W, 6) uint16 of 12 bits; band 5 is bright where `marked`, the others are noise."""
    pixels = random.integers(0, DEEP + 1, (*marked.shape, 6)).astype(np.uint16)
    pixels[:, :, BAND] = random.integers(0, DEEP // 4, marked.shape) + DEEP // 2 * marked
    return pixels


def gray(random: np.random.Generator, marked: np.ndarray) -> np.ndarray:
    """(H, W) uint16 of 12 bits, bright where `marked`."""
    return (random.integers(0, DEEP // 4, marked.shape) + DEEP // 2 * marked).astype(np.uint16)


Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]
KINDS: dict[str, Draw] = {"six bands": six_bands, "12 of 16 bits": gray}


@pytest.fixture(params=KINDS)
def draw(request: pytest.FixtureRequest) -> Draw:
    return KINDS[request.param]


def write_classes(root: Path, draw: Draw) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for name, bright in (("bright", True), ("dark", False)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                np.save(folder / f"{number}.npy", draw(random, np.full((SIDE, SIDE), bright)))
    return root


def write_scenes(root: Path, draw: Draw) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 1)):
        for part in ("images", "masks"):
            (root / part / split).mkdir(parents=True)
        for number in range(count):
            labels = np.zeros((40, 48), np.uint8)
            labels[int(random.integers(14, 28)) :] = 1
            np.save(root / "images" / split / f"{number}.npy", draw(random, labels == 0))
            np.save(root / "masks" / split / f"{number}.npy", labels)
    (root / "classes.txt").write_text("sky\nroad\n")
    return root


def write_boxes(root: Path, draw: Draw) -> Path:
    random = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", 4), ("val", 1)):
        (root / split).mkdir()
        images, objects = [], []
        for number in range(1, count + 1):
            left, top = (int(place) for place in random.integers(2, 28, 2))
            marked = np.zeros((64, 64), bool)
            marked[top : top + 24, left : left + 30] = True
            np.save(root / split / f"{number}.npy", draw(random, marked))
            images.append({"id": number, "file_name": f"{number}.npy", "height": 64, "width": 64})
            box = {"bbox": [left, top, 30, 24], "area": 720, "iscrowd": 0}
            objects.append({"id": number, "image_id": number, "category_id": 1, **box})
        content = {"images": images, "annotations": objects}
        content["categories"] = [{"id": 1, "name": "cell"}]
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root


def check_run(config: Any, data: Path, tmp_path: Path) -> Any:
    """Inspects, trains with a preview, evaluates and predicts; the trained model."""
    found = inspect(data, out=tmp_path / "page", pictures=1)
    assert not found.problems
    assert any("Bands" in table.title for table in found.tables)
    assert np.ptp(found.pictures[0].image_rgb) > 40

    result = train(config)
    model = load(result.folder / "best.safetensors", report=None)
    assert max(model.preprocessing.mean) < 0.05  # of the data itself: 12 bits of 16
    assert (result.folder / "batch_preview.png").is_file()

    report = evaluate(model, data, out=tmp_path / "report")
    assert report.numbers()
    image = next(path for path in sorted(data.rglob("*.npy")) if "mask" not in str(path))
    answer = model.predict(image)[0]
    assert answer.image_rgb is not None
    assert np.ptp(answer.image_rgb) > 40
    return model


def with_preview(config: Any, data: Path, **settings: Any) -> Any:
    runtime = replace(config.runtime, preview=True)
    return replace(config, data=DataConfig(path=data, workers=0, **settings), runtime=runtime)


def test_classifier_learns_from_one_band(
    draw: Draw, tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    data = write_classes(tmp_path / "data", draw)
    config = with_preview(tiny_config(schedule={"epochs": 6}), data)
    model = check_run(config, data, tmp_path)
    assert evaluate(model, data).top1 == 1.0
    assert model.preprocessing.channels == (6 if draw is six_bands else 3)


def test_segmenter_of_bands(draw: Draw, segmentation: Callable[..., Any], tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "data", draw)
    check_run(with_preview(segmentation(schedule={"steps": 2}), data), data, tmp_path)


def test_detector_of_bands(draw: Draw, detection: Callable[..., Any], tmp_path: Path) -> None:
    data = write_boxes(tmp_path / "data", draw)
    config = detection(schedule={"steps": 2}, model={"image_size": 64})
    model = check_run(with_preview(config, data), data, tmp_path)
    assert model.preprocessing.channels == (6 if draw is six_bands else 3)


def test_shown_bands_travel_with_the_weights(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    data = write_classes(tmp_path / "data", six_bands)
    config = tiny_config(schedule={"steps": 1, "epochs": 1})
    config = replace(config, data=DataConfig(path=data, workers=0, shown_bands=(5, 5, 5)))
    result = train(config)
    model = load(result.folder / "best.safetensors", report=None)
    assert model.preprocessing.shown_bands == (5, 5, 5)
    dark, bright = (model.predict(data / "val" / name / "0.npy")[0] for name in ("dark", "bright"))
    assert dark.image_rgb.mean() + 80 < bright.image_rgb.mean()
    other = load(result.folder / "best.safetensors", image_size=64, report=None)
    assert other.preprocessing.mean == model.preprocessing.mean

    with pytest.raises(ConfigError, match="shown_bands is 7; name one band or three of 6"):
        inspect(data, shown_bands=(7,))


def test_a_color_model_starts_one_of_bands(
    segmentation: Callable[..., Any], scenes: Path, tmp_path: Path
) -> None:
    """The kernels of the first layer are taken over, for a whole model of the task too."""
    steps = {"schedule": {"steps": 1, "epochs": 1}}
    colors = train(segmentation(**steps)).folder / "best.safetensors"
    data = write_scenes(tmp_path / "data", six_bands)
    config = segmentation(**steps, model={"weights": str(colors)}, optimizer={"lr": 1e-12})
    config = replace(config, data=DataConfig(path=data, workers=0))
    model = load(train(config).folder / "best.safetensors", report=None)
    given = load(colors, report=None).backbone.patch_embed.projection.weight
    moved = model.backbone.patch_embed.projection.weight
    torch.testing.assert_close(moved, given.mean(1, keepdim=True).repeat(1, 6, 1, 1) / 2)
