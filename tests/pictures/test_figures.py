from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.classification.report import Mistake, worst_mistakes
from swinkit.classification.train import batch_preview
from swinkit.errors import SwinkitError
from swinkit.images.preprocessing import Preprocessing
from swinkit.pictures import figures
from swinkit.pictures.drawing import save_figure


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)]


@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
def test_confusion_matrix_of_any_size_is_a_readable_file(classes, tmp_path):
    counts = np.random.default_rng(0).integers(0, 3, (classes, classes))
    counts += np.eye(classes, dtype=int) * 20
    names = [f"class {index}" for index in range(classes)]
    figure = figures.confusion_matrix(counts, names)
    save_figure(figure, tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as opened:
        assert 300 < opened.width < 2500
        assert 300 < opened.height < 2500
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (labels == names) == (classes <= figures.MANY_CLASSES)


def test_confusion_matrix_normalises_by_truth():
    figure = figures.confusion_matrix(np.array([[3, 1], [0, 0]]), ["$a_b^$", "none"])
    assert "75%\n3" in texts(figure)
    assert "75.0% of 4 images are right" in texts(figure)


def test_curves_of_one_epoch_have_that_epoch_alone_on_their_axes():
    row = {
        "epoch": 1,
        "train_loss": 0.7,
        "val_loss": 0.6,
        "val_top1": 0.4,
        "val_top5": 1,
        "lr": 8e-6,
    }
    figure = figures.curves([row])
    figure.canvas.draw()
    for axes in figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1"]
        assert axes.yaxis.get_offset_text().get_text() == ""


def test_batch_preview_names_what_was_mixed():
    targets = np.full((3, 4), 0.025, np.float32)
    targets[0, 1] += 0.9
    targets[1, 2] += 0.63
    targets[1, 3] += 0.27
    targets[2] = 0.25
    figure = batch_preview(
        np.zeros((3, 3, 8, 8), np.float32),
        targets,
        ("ape", "bee", "cat", "dog"),
        Preprocessing.for_size(8),
    )
    assert texts(figure)[:2] == ["bee", "70% cat\n30% dog"]


def test_worst_mistakes_with_gray_bands_and_missing_files(tmp_path):
    Image.new("L", (20, 10), 90).save(tmp_path / "gray.png")
    np.save(tmp_path / "bands.npy", np.zeros((9, 9, 5), np.uint8))

    def mistake(name: str) -> Mistake:
        return Mistake(
            path=str(tmp_path / name),
            truth="cat",
            predicted="dog",
            confidence=0.8,
            truth_probability=0.1,
        )

    figure = worst_mistakes([mistake("gray.png"), mistake("missing.png")])
    assert "gone" in texts(figure)
    assert "dog 80%\nis cat 10%\ngray.png" in texts(figure)
    save_figure(
        worst_mistakes([mistake("bands.npy")], Preprocessing.for_size(8, channels=5)),
        tmp_path / "a.png",
    )
    save_figure(worst_mistakes([]), tmp_path / "none.png")


def test_a_refused_write_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SwinkitError, match="cannot write"):
        save_figure(worst_mistakes([]), tmp_path / "file" / "picture.png")


def test_long_names_keep_both_ends():
    assert figures.shorten("short") == "short"
    assert figures.shorten("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"


def test_confusion_matrix_of_pixels_leaves_their_number_out():
    counts = np.array([[30_000_000, 10_000_000], [1, 1_000_000]])
    figure = figures.confusion_matrix(counts, ["sky", "road"], unit="pixels")
    assert "75%" in texts(figure)
    assert not any("\n" in text or text == "0%" for text in texts(figure))
    assert "75.6% of 41.0 million pixels are right" in texts(figure)
