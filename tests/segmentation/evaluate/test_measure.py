import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swinkit.data.config import DataConfig
from swinkit.errors import DataError, ImageError
from swinkit.images.fitting import Fit
from swinkit.segmentation.data.splits import load_segmentation, load_segmentation_samples
from swinkit.segmentation.evaluate.measure import evaluate_segmenter
from swinkit.segmentation.model import SwinSegmenter, create_segmenter
from swinkit.task.evaluating import choose_samples
from swinkit.task.views import TestAugmentation

NAMES = ("sky", "road", "tree")  # of the images that conftest.py makes
READERS = {"load": load_segmentation, "load_samples": load_segmentation_samples}
PICTURES = ("confusion_matrix.png", "predictions.png", "worst_images.png")


@pytest.fixture(scope="module")
def model() -> SwinSegmenter:
    torch.manual_seed(0)
    fit = Fit(short_side=None, long_side=None, divisor=1)
    return create_segmenter("unet_swin_nano", class_names=NAMES, fit=fit)


def test_numbers_are_those_of_the_predictions(model, scenes):
    report = evaluate_segmenter(model, scenes, batch_size=3)
    samples, _ = load_segmentation_samples(scenes, split="test")
    confusion = np.zeros((3, 3), int)
    found = model.predict([sample.path for sample in samples])
    for sample, result in zip(samples, found, strict=True):
        truth = sample.labels()
        counts = truth != 255
        np.add.at(confusion, (truth[counts], result.labels[counts]), 1)
    assert (report.scores.confusion == confusion).all()
    assert report.scores.images == 4
    assert 0 <= report.scores.mean_boundary_f1 <= 1
    mious = [image.miou for image in report.worst]
    assert mious == sorted(mious)
    assert len(report.worst) == 4


def test_data_may_be_a_path_settings_splits_or_samples(model, scenes):
    splits = load_segmentation(DataConfig(path=scenes))
    for data in (scenes, DataConfig(path=scenes), splits):
        chosen = choose_samples(model, data, "val", **READERS)
        assert [sample.path for sample in chosen] == [sample.path for sample in splits.val]
        assert len(choose_samples(model, data, None, **READERS)) == 4
    assert evaluate_segmenter(model, splits.val[:1], boundary_tolerance=None).scores.images == 1


def test_window_and_views_reach_the_prediction(model, scenes):
    samples = load_segmentation_samples(scenes, split="val")[0][:1]
    plain = evaluate_segmenter(model, samples).scores.confusion
    for settings in (
        {"window": 32, "stride": 24},
        {"views": TestAugmentation()},
        {"views": TestAugmentation(scales=(0.5, 1.5), flip=False)},
    ):
        other = evaluate_segmenter(model, samples, **settings).scores.confusion
        assert other.sum() == plain.sum()
        assert (other != plain).any()


def test_writes_its_files(model, scenes, tmp_path):
    report = evaluate_segmenter(model, scenes, out=tmp_path, worst=2)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["miou"] == report.scores.miou
    assert written["boundary_tolerance"] == 0.0075
    assert len(written["worst"]) == 2
    with (tmp_path / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(NAMES)
    assert float(rows[0]["iou"]) == pytest.approx(report.scores.iou[0])
    for picture in PICTURES:
        with Image.open(tmp_path / picture) as opened:
            assert 300 < opened.width < 2500
    assert "boundary F1" in report.table()


def test_a_class_that_nothing_shows_has_no_number(model, scenes, tmp_path):
    sample = load_segmentation_samples(scenes, split="val")[0][0]
    mask = Path(sample.mask_path)
    pixels = mask.read_bytes()
    Image.fromarray(np.full(sample.size_hw, 255, np.uint8)).save(mask)
    try:
        report = evaluate_segmenter(model, [sample], out=tmp_path)
    finally:
        mask.write_bytes(pixels)
    assert math.isnan(report.scores.miou)
    assert not report.worst
    assert json.loads((tmp_path / "report.json").read_text())["miou"] is None
    assert "-" in report.table()


@pytest.mark.parametrize("part", ["path", "mask_path"])
def test_unreadable_image_or_mask(model, scenes, part):
    samples = load_segmentation_samples(scenes, split="test")[0]
    broken = Path(getattr(samples[1], part))
    pixels = broken.read_bytes()
    broken.write_bytes(b"no picture")
    try:
        with pytest.raises(ImageError, match=broken.name):
            evaluate_segmenter(model, samples)
        assert evaluate_segmenter(model, samples, on_bad_image="skip").scores.images == 3
    finally:
        broken.write_bytes(pixels)


def test_refusals(model, scenes, tmp_path):
    with pytest.raises(DataError, match="no image"):
        evaluate_segmenter(model, [])
    with pytest.raises(DataError):
        evaluate_segmenter(model, tmp_path / "nowhere")
    other = create_segmenter("unet_swin_nano", class_names=("a", "b", "c"))
    for data in (scenes, load_segmentation(DataConfig(path=scenes))):
        with pytest.raises(DataError):
            evaluate_segmenter(other, data)
