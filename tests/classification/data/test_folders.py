"""Class folders, with and without splits above them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.classification.data.files import read_folders
from swinkit.classification.data.splits import load_classification
from swinkit.data.config import DataConfig
from swinkit.errors import DataError


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "VALID", "Testing"), ("training", "validation")]
)
def test_split_folders_in_any_spelling(
    tmp_path: Path, make_images: Callable, names: tuple[str, ...]
) -> None:
    for name in names:
        for label in ("b", "a"):
            make_images(tmp_path / name / label / "nested", 2)
    splits = load_classification(DataConfig(path=tmp_path))
    assert splits.class_names == ("a", "b")
    assert len(splits.train) == len(splits.val) == 4
    assert (splits.test is None) == (len(names) == 2)
    assert {splits.class_names[sample.label] for sample in splits.train} == {"a", "b"}
    assert all(sample.path.parts[-3] == splits.class_names[sample.label] for sample in splits.train)


def test_flat_folder_is_one_group(flat_folder: Path, make_images: Callable) -> None:
    (flat_folder / "nothing here").mkdir()
    (flat_folder / ".hidden").mkdir()
    make_images(flat_folder, 1)
    found, notes = read_folders(flat_folder)
    assert len(found["all"]) == 14
    assert any("nothing here" in note for note in notes)
    assert any("1 images outside" in note for note in notes)


def test_a_class_called_train_is_a_class(tmp_path: Path, make_images: Callable) -> None:
    for label in ("train", "bus"):
        make_images(tmp_path / label, 3)
    assert load_classification(DataConfig(path=tmp_path)).class_names == ("bus", "train")


def test_missing_splits_are_taken_from_train(tmp_path: Path, make_images: Callable) -> None:
    for label in ("a", "b"):
        make_images(tmp_path / "train" / label, 10)
        make_images(tmp_path / "test" / label, 3)
    splits = load_classification(DataConfig(path=tmp_path, val_fraction=0.2))
    assert (len(splits.train), len(splits.val), len(splits.test or [])) == (16, 4, 6)
    assert any("no val split" in note for note in splits.notes)


def refuse(path: Path, words: str, **settings: object) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load_classification(DataConfig(path=path, **settings))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_refusals(tmp_path: Path, make_images: Callable) -> None:
    refuse(tmp_path / "absent", "no such file or folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refuse(empty, "no images in class folders")
    make_images(tmp_path / "loose", 3)
    refuse(tmp_path / "loose", "3 images lie beside them")
    make_images(tmp_path / "lonely" / "only", 5)
    refuse(tmp_path / "lonely", r"only one class \(only\)")
    for name in ("val/a", "val/b"):
        make_images(tmp_path / "trainless" / name, 2)
    refuse(tmp_path / "trainless", "no train folder")
    for name in ("train/a", "val/a", "valid/a"):
        make_images(tmp_path / "double" / name, 2)
    refuse(tmp_path / "double", "val and valid both mean")
    for name in ("train/a", "train/b", "val/a", "val/zebra"):
        make_images(tmp_path / "stranger" / name, 2)
    refuse(tmp_path / "stranger", "val split has class zebra")
    file = make_images(tmp_path / "one", 1)[0]
    refuse(file, "is a file", kind="folders")
    for label in ("a", "b"):
        make_images(tmp_path / "single" / label, 1)
    refuse(tmp_path / "single", "no image is left for validation")


def test_clothing(data_dir: Path) -> None:
    splits = load_classification(DataConfig(path=data_dir / "clothing"))
    assert (len(splits.train), len(splits.val), len(splits.test or [])) == (3068, 341, 372)
    assert len(splits.class_names) == 10
    assert splits.counts()["train"]["t-shirt"] == 795
    assert splits.scan is not None
    assert (splits.scan.ok, splits.scan.bad) == (3781, ())
