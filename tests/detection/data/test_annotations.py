"""Looking at folders: the right kind, or an error that says what was looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.data.problems import Problems
from swinkit.detection.data.image_lookup import ImageLookup
from swinkit.detection.data.layouts import split_of
from swinkit.detection.data.splits import find_annotations, require_annotations
from swinkit.errors import DataError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"),
        ("instances_minival2014", "val"),
        ("valid", "val"),
        ("my_test", "test"),
        ("trainval", "train"),
        ("training-set", "train"),
        ("labels", None),
        ("train_val", None),
        ("constrained", None),
    ],
)
def test_split_of_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    assert find_annotations(tmp_path) is None
    with pytest.raises(DataError, match=r"looked for COCO .*Pascal VOC .*YOLO"):
        require_annotations(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        require_annotations(tmp_path / "absent")


def test_other_json_files_are_no_annotations(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"images": 3}')
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    assert find_annotations(tmp_path) is None


def test_two_files_for_one_split(tmp_path: Path, write_coco: Callable[..., Path]) -> None:
    write_coco("train")
    write_coco("my_train")
    with pytest.raises(DataError, match="are both train"):
        find_annotations(tmp_path)


def test_a_name_without_split_among_others(tmp_path: Path, write_coco: Callable[..., Path]) -> None:
    write_coco("train")
    write_coco("things")
    with pytest.raises(DataError, match=r"things\.json tells no split"):
        find_annotations(tmp_path)


def test_one_file_with_any_name(tmp_path: Path, write_coco: Callable[..., Path]) -> None:
    write_coco("things")
    files = find_annotations(tmp_path)
    assert files is not None
    assert list(files.read(Problems())) == ["all"]


def test_kind_can_be_insisted_on(tmp_path: Path, write_coco: Callable[..., Path]) -> None:
    write_coco("train")
    assert require_annotations(tmp_path, "coco").kind == "coco"
    with pytest.raises(DataError, match="no voc data found"):
        require_annotations(tmp_path, "voc")


def test_images_are_found_by_their_last_parts(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    write_image(tmp_path / "images" / "sub" / "a.png")
    finder = ImageLookup([tmp_path / "absent", tmp_path / "images"])
    assert finder.find("sub/a.png") == tmp_path / "images" / "sub" / "a.png"
    assert finder.find("/elsewhere/sub/a.png") == tmp_path / "images" / "sub" / "a.png"
    assert finder.find("a.png") is None
    assert "images" in finder.described()
