import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo_shapes import write_shapes
from swinkit.data.config import DataConfig
from swinkit.detection.data.splits import load_detection, load_detection_samples
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.evaluate.measure import evaluate_detector, write_report
from swinkit.detection.evaluate.report import report_of
from swinkit.detection.model import SwinDetector, create_detector
from swinkit.errors import ConfigError, DataError, ImageError
from swinkit.images.fitting import Fit
from swinkit.task.evaluating import choose_samples
from swinkit.task.views import TestAugmentation

from .detection_truth import perturbed

READERS = {"load": load_detection, "load_samples": load_detection_samples}
PICTURES = ("pr_curves.png", "predictions.png", "worst_misses.png")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, train=4, val=3, test=5, seed=0)
    return folder


@pytest.fixture(scope="module")
def model(shapes: Path) -> SwinDetector:
    torch.manual_seed(0)
    names = load_detection_samples(shapes)[1].class_names
    return create_detector(
        "mask_rcnn_swin_nano", class_names=names, fit=Fit(short_side=64, long_side=96)
    )


def test_numbers_are_those_of_the_predictions(model, shapes):
    report = evaluate_detector(model, shapes, batch_size=2)
    samples, splits = load_detection_samples(shapes, split="test")
    evaluator = CocoEvaluator(samples, splits.class_names)
    paths = [sample.path for sample in samples]
    found = model.predict(paths)
    evaluator.update(
        (sample.image_id, result) for sample, result in zip(samples, found, strict=True)
    )
    scores = evaluator.compute()
    assert report.images == 5
    assert report.scores.mask is not None
    assert report.scores.box.numbers() == pytest.approx(scores.box.numbers(), nan_ok=True)
    assert report.scores.mask.numbers() == pytest.approx(scores.mask.numbers(), nan_ok=True)


def test_data_may_be_a_path_settings_splits_or_samples(model, shapes):
    splits = load_detection(DataConfig(path=shapes))
    for data in (shapes, DataConfig(path=shapes), splits):
        chosen = choose_samples(model, data, "val", **READERS)
        assert [sample.path for sample in chosen] == [sample.path for sample in splits.val]
        assert len(choose_samples(model, data, None, **READERS)) == 5
    assert evaluate_detector(model, splits.val[:1]).images == 1


def test_views_tiles_and_limits_reach_the_prediction(model, shapes):
    samples = load_detection_samples(shapes, split="val")[0][:1]
    few = evaluate_detector(model, samples, max_detections=2)
    assert few.scores.box.max_detections == 2
    seen = []
    assert len(few.examples[0].found.scores) <= 2
    for settings in ({}, {"views": TestAugmentation()}, {"tile": 90}):
        other = evaluate_detector(model, samples, max_detections=20, **settings)
        boxes = other.examples[0].found.boxes_xyxy.round(1).tolist()
        assert boxes not in seen
        seen.append(boxes)


def test_score_moves_the_counts_and_not_the_precision(model, shapes):
    samples = load_detection_samples(shapes, split="val")[0]
    names = model.class_names
    evaluator = CocoEvaluator(samples, names)
    evaluator.update(perturbed(samples, names, masks=True))
    low, high = (report_of(evaluator, score=score) for score in (0.0, 0.99))
    assert low.scores.main.ap == high.scores.main.ap
    assert low.overall.right > high.overall.right
    assert low.overall.missed < high.overall.missed
    assert len(high.missed) == min(16, high.overall.missed)
    scores = [miss.score for miss in low.wrong]
    assert scores == sorted(scores, reverse=True)
    areas = [float(miss.sample.areas[miss.row]) for miss in high.missed]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("masks", [False, True])
def test_writes_its_files(shapes, tmp_path, masks):
    samples, splits = load_detection_samples(shapes, split="test")
    evaluator = CocoEvaluator(samples, splits.class_names)
    evaluator.update(perturbed(samples, splits.class_names, masks=masks))
    report = report_of(evaluator, seconds=2.0, worst=3, examples=2)
    write_report(report, tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["box"]["ap"] == report.scores.box.ap
    assert (written["mask"] is not None) == masks
    assert len(written["curves"]["precision50"][splits.class_names[0]]) == 101
    assert written["at_score"]["right"] == report.overall.right
    with (tmp_path / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(splits.class_names)
    assert ("mask_ap" in rows[0]) == masks
    assert sum(int(row["missed"]) for row in rows) == report.overall.missed
    for picture in PICTURES:
        with Image.open(tmp_path / picture) as opened:
            assert 600 < opened.width < 3000
    table = report.table()
    assert ("mask AP" in table) == masks
    assert "at score" in table


def test_pictures_without_objects_detections_or_images(shapes, tmp_path):
    samples, splits = load_detection_samples(shapes, split="test")
    evaluator = CocoEvaluator(samples, splits.class_names)
    empty = [
        (image_id, found.above(1.0)) for image_id, found in perturbed(samples, splits.class_names)
    ]
    evaluator.update(empty[:1])
    report = report_of(evaluator, worst=2)
    gone = Path(samples[0].path)
    pixels = gone.read_bytes()
    gone.unlink()
    try:
        write_report(report, tmp_path)
    finally:
        gone.write_bytes(pixels)
    assert report.overall.right == 0
    assert not report.wrong
    assert json.loads((tmp_path / "report.json").read_text())["box"]["ap"] in (0.0, None)


def test_unreadable_image(model, shapes):
    samples = load_detection_samples(shapes, split="test")[0]
    broken = Path(samples[1].path)
    pixels = broken.read_bytes()
    broken.write_bytes(b"no picture")
    try:
        with pytest.raises(ImageError, match=broken.name):
            evaluate_detector(model, samples)
        assert evaluate_detector(model, samples[:3], on_bad_image="skip").images == 2
    finally:
        broken.write_bytes(pixels)


def test_refusals(model, shapes, tmp_path):
    with pytest.raises(DataError, match="no image"):
        evaluate_detector(model, [])
    with pytest.raises(DataError):
        evaluate_detector(model, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="max_detections"):
        evaluate_detector(model, shapes, max_detections=0)
    other = create_detector("retinanet_swin_nano", class_names=("cat", "dog"))
    for data in (shapes, load_detection(DataConfig(path=shapes))):
        with pytest.raises(DataError):
            evaluate_detector(other, data)


def test_many_classes_and_strange_names(tmp_path):
    """Eighty classes with mathematical and foreign letters still give readable curves."""
    from swinkit.detection.data.samples import DetectionSample

    names = tuple(f"$x_{index}^ 猫" for index in range(80))
    boxes = np.array([[index % 9 * 10, index // 9 * 10, 0, 0] for index in range(80)], np.float32)
    boxes[:, 2:] = boxes[:, :2] + 8
    sample = DetectionSample(
        path=tmp_path / "gone.png",
        image_id=1,
        size_hw=(100, 100),
        boxes_xyxy=boxes,
        labels=np.arange(80),
        is_crowd=np.zeros(80, bool),
        segments=None,
        areas=np.full(80, 64.0),
    )
    evaluator = CocoEvaluator([sample], names)
    evaluator.update(perturbed([sample], names))
    write_report(report_of(evaluator, worst=1), tmp_path / "out")
    assert (tmp_path / "out" / "pr_curves.png").is_file()
