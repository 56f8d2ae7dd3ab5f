"""Class folders, with and without splits above them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.classification.data.folders import read_folders
from swinkit.classification.data.splits import load_classification
from swinkit.data.config import DataConfig
from swinkit.errors import DataError
from swinkit.registry import recognize


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
    found = read_folders(flat_folder)
    assert len(found.by_split["all"]) == 14
    assert any("nothing here" in note for note in found.notes)
    assert any("1 images outside" in note for note in found.notes)


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
    assert splits.problems == ()
    assert sum(map(len, splits.by_name().values())) == 3781


def test_splits_with_loose_pictures_are_no_classes(tmp_path: Path, make_images: Callable) -> None:
    for name in ("train", "test"):
        make_images(tmp_path / "kaggle" / name, 4)
    refuse(tmp_path / "kaggle", "test, train are splits, not classes.*columns path,label")
    with pytest.raises(DataError, match="are splits, not classes"):
        recognize(tmp_path / "kaggle")
    make_images(tmp_path / "half" / "train", 4)
    for label in ("a", "b"):
        make_images(tmp_path / "half" / "val" / label, 2)
    refuse(tmp_path / "half", "holds pictures but no class folders")
    for label in ("a", "b"):
        make_images(tmp_path / "unlabeled" / "train" / label, 4)
    make_images(tmp_path / "unlabeled" / "test", 3)
    splits = load_classification(DataConfig(path=tmp_path / "unlabeled"))
    assert any("3 pictures without class folders were left out" in n for n in splits.notes)


def test_images_and_masks_are_no_classes(tmp_path: Path, make_images: Callable) -> None:
    for name in ("images", "masks"):
        make_images(tmp_path / "a" / name, 3)
    refuse(tmp_path / "a", "images, masks are no classes")
    make_images(tmp_path / "b" / "JPEGImages", 3)
    refuse(tmp_path / "b", "JPEGImages are no classes")


def test_a_second_level_is_told(tmp_path: Path, make_images: Callable) -> None:
    for name in ("animal/cat", "animal/dog", "plant/rose", "plant/tulip"):
        make_images(tmp_path / name, 2)
    splits = load_classification(DataConfig(path=tmp_path))
    assert splits.class_names == ("animal", "plant")
    note = next(note for note in splits.notes if "first level" in note)
    assert "animal/cat, animal/dog, plant/rose, plant/tulip" in note
    assert "columns path,label" in note


def test_a_class_that_cannot_be_read_is_told(tmp_path: Path, make_images: Callable) -> None:
    for name in ("a", "b"):
        make_images(tmp_path / name, 4)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.jpg").write_text("no image")
    splits = load_classification(DataConfig(path=tmp_path))
    assert any("no image of c can be read; left out" in note for note in splits.notes)
    for path in (tmp_path / "b").iterdir():
        path.write_text("no image")
    refuse(tmp_path, r"only one class \(a\).*of b, c none can be read: not an image")


def test_nothing_vanishes_unmentioned(flat_folder: Path) -> None:
    for name in ("a.dng", "photo.jpg.1", "notes.txt", ".DS_Store"):
        (flat_folder / "犬" / name).write_bytes(b"x")
    (flat_folder / "犬" / "0.heic").write_bytes((flat_folder / "犬" / "image 0.png").read_bytes())
    splits = load_classification(DataConfig(path=flat_folder))
    text = splits.summary()
    for words in ("raw files of cameras (a.dng)", "photo.jpg.1", "1 .txt files", ".DS_Store"):
        assert words in text
    assert "1 files called HEIC hold other images (0.heic)" in text
    assert len(splits.train) + len(splits.val) == 15


def test_the_cases(cases_dir: Path) -> None:
    refuse(cases_dir / "33-kaggle", "test, train are splits, not classes")
    splits = load_classification(DataConfig(path=cases_dir / "11b-hierarchy"))
    assert any("animal/cat" in note for note in splits.notes)
    splits = load_classification(DataConfig(path=cases_dir / "11d-heic-only-class"))
    assert splits.counts()["train"] == {"ants": 4, "bees": 4}
    text = load_classification(DataConfig(path=cases_dir / "11c-junk")).summary()
    for words in ("problem: HEIC image: 2", "pic.dng", "photo.jpg.1", "without a suffix (noext)"):
        assert words in text
