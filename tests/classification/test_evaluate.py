import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

from swinkit.backbones.config import SwinConfig
from swinkit.classification.data.splits import load_classification
from swinkit.classification.evaluate import evaluate_classifier
from swinkit.classification.model import SwinClassifier
from swinkit.classification.report import ClassificationReport
from swinkit.data.config import DataConfig
from swinkit.errors import DataError, ImageError, SwinkitError
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.evaluating import MeanLoss
from swinkit.task.model import ModelInfo

NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colors")
    random = np.random.default_rng(1)
    for split, count in (("train", 2), ("test", 5)):
        for channel, name in ((2, "blue"), (1, "green"), (0, "red")):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 80, (32, 32, 3))
                pixels[..., channel] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{index}.png")
    (root / "val").mkdir()
    for name in NAMES:
        (root / "val" / name).mkdir()
        Image.new("RGB", (32, 32)).save(root / "val" / name / "0.png")
    return root


@pytest.fixture
def model() -> SwinClassifier:
    config = SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4, norm_stages=(1,)
    )
    info = ModelInfo(class_names=NAMES, preprocessing=Preprocessing.for_size(32))
    made = SwinClassifier(config, num_classes=3, info=info)
    with torch.no_grad():
        made.head.fc.weight.mul_(20)
    return made


def test_numbers_agree_with_predict_and_sklearn(model, folder):
    report = evaluate_classifier(model, folder, batch_size=4)
    results = model.predict(sorted((folder / "test").rglob("*.png")))
    truth = [NAMES.index(Path(result.source).parent.name) for result in results]
    answers = [result.index for result in results]
    logs = [
        np.log(result.probabilities[label]) for result, label in zip(results, truth, strict=True)
    ]
    assert report.images == 15
    assert report.top1 == pytest.approx(np.mean(np.equal(truth, answers)))
    assert report.top5 == 1.0
    assert report.loss == pytest.approx(-np.mean(logs), rel=1e-4)
    assert report.confusion.sum() == 15
    for label, answer in zip(truth, answers, strict=True):
        assert report.confusion[label, answer] > 0
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, answers, labels=range(3), zero_division=0
    )
    for index, score in enumerate(report.per_class):
        assert score.precision == pytest.approx(precision[index])
        assert score.recall == pytest.approx(recall[index])
        assert score.f1 == pytest.approx(f1[index])
        assert score.support == support[index]
    wrong = sum(a != b for a, b in zip(truth, answers, strict=True))
    assert len(report.mistakes) == min(16, wrong)
    chances = [mistake.truth_probability for mistake in report.mistakes]
    assert chances == sorted(chances)


def test_batch_size_changes_nothing(model, folder):
    one, many = (
        evaluate_classifier(model, folder, batch_size=1),
        evaluate_classifier(model, folder, batch_size=7),
    )
    assert one.loss == pytest.approx(many.loss, rel=1e-5)
    assert (one.confusion == many.confusion).all()


def test_data_may_be_a_path_settings_splits_or_samples(model, folder):
    splits = load_classification(DataConfig(path=folder))
    wanted = evaluate_classifier(model, folder, split="train").to_dict()["confusion"]
    for data in (DataConfig(path=folder), splits):
        assert evaluate_classifier(model, data, split="train").to_dict()["confusion"] == wanted
    assert evaluate_classifier(model, splits.train).to_dict()["confusion"] == wanted
    assert evaluate_classifier(model, splits).images == 15


def test_writes_its_files(model, folder, tmp_path):
    model.train()
    report = evaluate_classifier(model, folder, out=tmp_path / "out", worst=3)
    assert model.training
    assert len(report.mistakes) == 3
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["top1"] == report.top1
    assert written["confusion"] == report.confusion.tolist()
    rows = list(csv.DictReader((tmp_path / "out" / "per_class.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == list(NAMES)
    for picture in ("confusion_matrix.png", "worst_mistakes.png"):
        with Image.open(tmp_path / "out" / picture) as opened:
            assert opened.width > 200
    assert "green" in report.table()
    assert "top-1" in report.table()


def test_unreadable_image(model, folder, tmp_path):
    import shutil

    data = tmp_path / "data"
    shutil.copytree(folder, data)
    (data / "test" / "red" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"0\.png"):
        evaluate_classifier(model, data)
    report = evaluate_classifier(model, data, on_bad_image="skip")
    assert report.images == 14, "left out, and its stand-in not counted twice"


def test_classes_that_the_model_does_not_know(model, folder, tmp_path):
    (tmp_path / "data" / "test" / "violet").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "data" / "test" / "violet" / "0.png")
    with pytest.raises(DataError, match="violet"):
        evaluate_classifier(model, tmp_path / "data")
    with pytest.raises(DataError):
        evaluate_classifier(model, tmp_path / "nowhere")


def test_report_checks_its_shapes():
    with pytest.raises(SwinkitError, match=r"expected shape \(2, 2\)"):
        ClassificationReport(
            top1=1.0,
            top5=1.0,
            loss=0.0,
            calibration_error=0.0,
            images=1,
            seconds=1.0,
            class_names=("a", "b"),
            confusion=np.zeros((3, 3), np.int64),
        )


def test_mean_loss_weighs_batches_by_their_images():
    metric = MeanLoss()
    metric.update(torch.tensor(1.0), images=9)
    metric.update(torch.tensor(2.0), images=1)
    assert float(metric.compute()) == pytest.approx(1.1)
    metric.update(torch.tensor(float("nan")), images=1)
    assert torch.isnan(metric.compute())
