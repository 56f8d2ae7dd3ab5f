"""Classification: what it refuses, what it answers, what it draws."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from swinkit.classification.result import Classification
from swinkit.errors import SwinkitError


def make(**changes: object) -> Classification:
    values = {
        "class_names": ("cat", "dog", "bird"),
        "probabilities": np.array([0.2, 0.7, 0.1]),
        "source": "a/b.jpg",
    }
    return Classification(**{**values, **changes})


def test_label_confidence_top() -> None:
    result = make()
    assert result.label == "dog"
    assert result.index == 1
    assert result.confidence == pytest.approx(0.7)
    assert [name for name, _ in result.top(2)] == ["dog", "cat"]
    assert len(result.top(99)) == 3
    assert "dog" in repr(result)
    assert "b.jpg" in repr(result)


@given(
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0.01, 1)),
    st.integers(1, 40),
)
def test_top_is_sorted_and_complete(weights: np.ndarray, k: int) -> None:
    names = tuple(f"class {i}" for i in range(len(weights)))
    result = Classification(names, weights / weights.sum())
    top = result.top(k)
    values = [value for _, value in top]
    assert values == sorted(values, reverse=True)
    assert len(top) == min(k, len(weights))
    assert len({name for name, _ in top}) == len(top)
    assert top[0] == (result.label, result.confidence)


def test_ties_go_to_the_first_class() -> None:
    result = Classification(("a", "b"), np.array([0.5, 0.5]))
    assert result.label == result.top(1)[0][0] == "a"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probabilities": np.array([0.5, 0.5])}, ["(3,)", "(2,)"]),
        ({"probabilities": np.full((1, 3), 1 / 3)}, ["(3,)", "(1, 3)"]),
        ({"probabilities": np.array([np.nan, 0.5, 0.5])}, ["NaN", "1 of 3", "a/b.jpg"]),
        ({"probabilities": np.array([5.0, -3.0, -1.0])}, ["0..1", "softmax"]),
        ({"probabilities": np.array([0.1, 0.1, 0.1])}, ["sum 1", "0.3"]),
        ({"class_names": (), "probabilities": np.zeros(0)}, ["class name"]),
        ({"image_rgb": np.zeros((4, 4), np.uint8)}, ["(H, W, 3) uint8", "(4, 4)"]),
        ({"image_rgb": np.zeros((4, 4, 3), np.float32)}, ["uint8", "float32"]),
    ],
)
def test_refuses_with_expected_against_actual(changes: dict, words: list[str]) -> None:
    with pytest.raises(SwinkitError) as caught:
        make(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_top_refuses_zero() -> None:
    with pytest.raises(SwinkitError, match="k >= 1"):
        make().top(0)


def test_later_changes_of_the_input_do_not_reach_the_result() -> None:
    values = np.array([0.2, 0.7, 0.1], np.float32)
    result = make(probabilities=values)
    values[:] = 0
    assert result.confidence == pytest.approx(0.7)
    with pytest.raises(ValueError, match="read-only"):
        result.probabilities[0] = 1


def test_json_is_one_readable_line() -> None:
    result = make(class_names=("Katze", "Hund", "鳥"), seconds=0.25)
    text = result.to_json(k=3)
    assert "\n" not in text
    assert "鳥" in text
    values = json.loads(text)
    assert values["label"] == "Hund"
    assert values["seconds"] == 0.25
    assert values["source"] == "a/b.jpg"
    assert [item["label"] for item in values["classes"]] == ["Hund", "Katze", "鳥"]
    assert len(result.to_dict(k=1)["classes"]) == 1
    assert len(result.to_dict()["classes"]) == 3


@pytest.mark.parametrize("with_image", [True, False])
def test_plot_writes_a_picture(tmp_path: Path, with_image: bool) -> None:
    image = np.full((20, 30, 3), 200, np.uint8) if with_image else None
    target = tmp_path / "new folder" / "plot.png"
    names = ("price $5_a$ ^", "dog", "鳥")
    figure = make(class_names=names, image_rgb=image, source="odd $name.jpg").plot(target, k=3)
    assert len(figure.axes) == 1 + with_image
    with Image.open(target) as picture:
        assert picture.width > picture.height
    labels = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
    assert labels == ["dog", "price $5_a$ ^", "鳥"]


def test_plot_refuses_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match=r"\.xyz.*\.png"):
        make().plot(tmp_path / "plot.xyz")
    assert list(tmp_path.iterdir()) == []


def test_importing_results_imports_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, swinkit.classification.result; "
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
