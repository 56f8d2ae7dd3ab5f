"""YOLO folders: boxes, polygons, data.yaml in its many habits, and broken lines."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swinkit.data.config import DataConfig
from swinkit.detection.data.splits import load_detection, load_parts
from swinkit.errors import DataError

BOX = "1 0.5 0.5 0.5 0.25\n"
POLYGON = "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"


@pytest.fixture
def write_label(write_image: Callable[..., Path]) -> Callable[..., None]:
    """Writes an image and its label file in the folder labels."""

    def write(image: Path, text: str | None) -> None:
        write_image(image)
        if text is not None:
            parts = ["labels" if part == "images" else part for part in image.parts]
            label = Path(*parts).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(text)

    return write


@pytest.fixture
def two_splits(tmp_path: Path, write_label: Callable[..., None]) -> Path:
    for split in ("train", "val"):
        for name in "ab":
            write_label(tmp_path / "images" / split / f"{name}.png", BOX)
    return tmp_path


def test_boxes_in_pixels(two_splits: Path) -> None:
    (two_splits / "data.yaml").write_text(
        "names: [cat, dog]\ntrain: images/train\nval: images/val\n"
    )
    splits = load_detection(DataConfig(path=two_splits))
    assert splits.kind == "yolo"
    assert splits.class_names == ("cat", "dog")
    assert splits.train[0].boxes_xyxy.tolist() == [[15, 15, 45, 25]]
    assert splits.train[0].labels.tolist() == [1]
    ids = [s.image_id for part in splits.by_name().values() for s in part]
    assert len(set(ids)) == 4


def test_polygons_in_pixels(tmp_path: Path, write_label: Callable[..., None]) -> None:
    for name in "abc":
        write_label(tmp_path / "images" / f"{name}.png", POLYGON)
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.has_masks
    sample = splits.train[0]
    assert sample.boxes_xyxy.tolist() == [[15, 10, 45, 30]]
    expected = np.zeros((40, 60), np.uint8)
    expected[10:30, 15:45] = 1
    np.testing.assert_array_equal(sample.masks()[0], expected)
    assert sample.areas.tolist() == [600]


@pytest.mark.parametrize(
    "text",
    [
        "names: {0: cat, 1: dog}\ntrain: images/train\nval: images/val\n",
        "names: [cat, dog]\ntrain: ../images/train\nval: ../images/val\n",
        "names: [cat, dog]\npath: /nowhere\ntrain: images/train\nval: images/val\nnc: 2\n",
        "names: [cat, dog]\ntrain: [images/train]\nval: val.txt\n",
    ],
)
def test_habits_of_data_yaml(two_splits: Path, text: str) -> None:
    (two_splits / "val.txt").write_text("images/val/a.png\n./images/val/b.png\n")
    (two_splits / "data.yaml").write_text(text)
    for path in (two_splits, two_splits / "data.yaml"):
        splits = load_detection(DataConfig(path=path))
        assert splits.class_names == ("cat", "dog")
        assert (len(splits.train), len(splits.val)) == (2, 2)


def test_without_data_yaml(two_splits: Path) -> None:
    splits = load_detection(DataConfig(path=two_splits))
    assert splits.class_names == ("class 0", "class 1")
    (two_splits / "classes.txt").write_text("cat\ndog\n")
    assert load_detection(DataConfig(path=two_splits)).class_names == ("cat", "dog")


def test_split_folders_first(tmp_path: Path, write_label: Callable[..., None]) -> None:
    for split in ("train", "valid"):
        write_label(tmp_path / split / "images" / "a.png", BOX)
    splits = load_detection(DataConfig(path=tmp_path))
    assert (len(splits.train), len(splits.val)) == (1, 1)


def test_broken_lines_are_told_with_their_number(
    tmp_path: Path, write_label: Callable[..., None]
) -> None:
    text = "\n".join(
        (
            *(BOX.strip(), "", "x 1 2 3 4", "0 0.5 0.5", "0 100 200 30 40"),
            *("0 nan 0.5 0.1 0.1", "9 0.5 0.5 0.1 0.1", "0 0.5 0.5 0 0"),
            *("1.5 0.5 0.5 0.1 0.1", "0 0.9 0.9 0.6 0.6"),
        )
    )
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    write_label(tmp_path / "images" / "a.png", text)
    write_label(tmp_path / "images" / "b.png", None)
    write_label(tmp_path / "images" / "c.png", BOX + POLYGON + POLYGON)
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    found = sorted(problem.kind for problem in loaded.problems)
    assert found == [
        "box of zero area",
        "box over the edge",
        "image without a label file",
        "mixed formats",
        "unknown class",
        *["unreadable entry"] * 5,
    ]
    assert any("a.txt, line 3" in problem.where for problem in loaded.problems)
    assert [len(sample) for sample in parts["all"]] == [3, 3]


def test_boxes_among_polygons_are_boxes(tmp_path: Path, write_label: Callable[..., None]) -> None:
    write_label(tmp_path / "images" / "a.png", BOX + POLYGON + POLYGON)
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.has_masks
    assert [problem.kind for problem in loaded.problems] == ["mixed formats", "object without mask"]
    assert not parts["all"][0].is_crowd.any()
    assert parts["all"][0].lacks_mask.tolist() == [True, False, False]


def test_the_same_images_for_train_and_val_are_told(two_splits: Path) -> None:
    (two_splits / "data.yaml").write_text("names: [a, b]\ntrain: images\nval: images\n")
    splits = load_detection(DataConfig(path=two_splits))
    assert any("the same images" in note for note in splits.notes)
    assert not {s.path for s in splits.train} & {s.path for s in splits.val}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: 5\ntrain: images/train\n", "names is 5; give a list"),
        ("names: [a]\ntrain: nowhere\n", "none of its splits has images: train is nowhere"),
    ],
)
def test_unusable_data_yaml(two_splits: Path, text: str, message: str) -> None:
    (two_splits / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_detection(DataConfig(path=two_splits))
