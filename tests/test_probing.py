"""Probes: simple classifiers on a backbone's features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.checkpoints.save import save
from swinkit.cli import main
from swinkit.errors import ConfigError, DataError
from swinkit.probing import _linear, _nearest


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes in 8 dimensions that overlap a little."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centers = torch.eye(8)[:3] * 4
    return centers[labels] + torch.randn(count, 8, generator=generator), labels


@pytest.mark.parametrize("classify", [_nearest, _linear])
def test_probes_tell_classes_apart(classify) -> None:
    train, labels = blobs(300, seed=0)
    measured, truth = blobs(90, seed=1)
    assert (classify(train, labels, measured, 3) == truth).float().mean() > 0.9


def test_the_linear_probe_is_the_penalized_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, labels = blobs(60, seed=0)
    measured, _ = blobs(500, seed=2)
    scaled = (train - train.mean(0)) / train.std(0, correction=0)
    # scikit-learn adds up the losses and halves the penalty: C = 1 / (2 N penalty).
    peer = linear_model.LogisticRegression(C=1 / (2 * 60 * 1e-3), max_iter=1000, tol=1e-8)
    peer.fit(scaled.numpy(), labels.numpy())
    expected = peer.predict(((measured - train.mean(0)) / train.std(0, correction=0)).numpy())
    found = _linear(train, labels, measured, 3).numpy()
    assert (found == expected).mean() > 0.99


def test_the_nearest_neighbors_vote_by_their_cosines() -> None:
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    measured = torch.tensor([[1.0, 0.05], [0.6, 1.0]])
    assert _nearest(train, torch.tensor([0, 1, 1]), measured, 2).tolist() == [0, 1]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for number in range(count):
            name = ("black", "white")[number % 2]
            file = tmp_path / "photos" / split / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 60, (32, 32, 3)) + 180 * (name == "white")
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return tmp_path / "photos"


def test_weights_of_any_task_and_other_classes_can_be_probed(photos, tmp_path, capsys) -> None:
    torch.manual_seed(0)
    model = swinkit.create_segmenter("unet_swin_nano", num_classes=5)
    weights = save(model, tmp_path / "w.safetensors")
    words = ["evaluate", "--weights", str(weights), "--data", str(photos), "--image-size", "32"]
    assert main([*words, "--probe", "knn"]) == 0
    said = capsys.readouterr().out
    assert "knn probe, 12 training images: top-1 100.00% of 6 val images" in said
    report = swinkit.probe(weights, photos, "linear", image_size=32)
    assert report.numbers() == {"top1": 1.0}
    assert report.per_class == {"black": 1.0, "white": 1.0}


def test_what_cannot_be_probed_is_one_line(photos, tmp_path) -> None:
    model = swinkit.create_model("swin_nano", num_classes=2)
    with pytest.raises(DataError, match="learns from train and measures val, not test"):
        swinkit.probe(model, photos, split="test")
    with pytest.raises(ConfigError, match="choose knn or linear"):
        swinkit.probe(model, photos, "svm")
    with pytest.raises(DataError, match="no such file or folder"):
        swinkit.probe(model, tmp_path / "nowhere")
