"""CSV lists."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.classification.data.splits import load_classification
from swinkit.data.config import DataConfig
from swinkit.errors import DataError


@pytest.fixture
def images(tmp_path: Path, make_images: Callable) -> list[str]:
    paths = make_images(tmp_path / "pictures, all", 12)
    return [str(path.relative_to(tmp_path)) for path in paths]


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def rows(images: list[str], ending: str = "", sep: str = ",") -> list[str]:
    return [f'"{name}"{sep}{"ab"[i % 2]}{ending}' for i, name in enumerate(images)]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_one_list_without_splits(
    tmp_path: Path, images: list[str], sep: str, encoding: str
) -> None:
    path = write(tmp_path / "all.csv", [f"Path{sep} Label", *rows(images, sep=sep)], encoding)
    splits = load_classification(DataConfig(path=path, val_fraction=0.34, test_fraction=0.17))
    assert (len(splits.train), len(splits.val), len(splits.test or [])) == (6, 4, 2)
    assert splits.class_names == ("a", "b")


def test_one_list_with_splits(tmp_path: Path, images: list[str]) -> None:
    lines = [
        *rows(images[:6], ",train"),
        *rows(images[6:10], ",Valid"),
        *rows(images[10:], ",test"),
    ]
    splits = load_classification(
        DataConfig(path=write(tmp_path / "l.csv", ["path,label,split", *lines]))
    )
    assert (len(splits.train), len(splits.val), len(splits.test or [])) == (6, 4, 2)


def test_a_folder_of_lists(tmp_path: Path, images: list[str]) -> None:
    write(tmp_path / "train.csv", ["path,label", *rows(images[:8]), "", *rows(images[:1])])
    absolute = [str(tmp_path / name) for name in images[8:]]
    write(
        tmp_path / "val.csv",
        ["label,path", *(f'{"ab"[i % 2]},"{n}"' for i, n in enumerate(absolute))],
    )
    splits = load_classification(DataConfig(path=tmp_path))
    assert (len(splits.train), len(splits.val), splits.test) == (8, 4, None)
    assert any("1 repeated" in note for note in splits.notes)


def test_missing_files_are_counted_and_named(tmp_path: Path, images: list[str]) -> None:
    path = write(tmp_path / "l.csv", ["path,label", *rows([*images, "gone 1.png", "gone 2.png"])])
    with pytest.raises(DataError, match=r"2 of 14 images are bad.*gone 1\.png .*no such file"):
        load_classification(DataConfig(path=path, on_bad_image="refuse"))
    splits = load_classification(DataConfig(path=path))
    assert splits.scan is not None
    assert [bad.name for bad, _ in splits.scan.bad] == ["gone 1.png", "gone 2.png"]
    assert len(splits.train) + len(splits.val) == 12


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["file,class", "x,a"], "no column path and label"),
        (["path,label", "x.png,"], "line 2: label is empty"),
        (["path,label", "x.png"], "line 2: label is empty"),
        (["path,label,split", "x.png,a,holdout"], "line 2: split is 'holdout'"),
        (["path,label", "x.png,a", "x.png,b"], "two labels, a and b"),
        (["path,label,split", "x.png,a,train", "x.png,a,val"], "two splits, train and val"),
        (["path,label"], "lists no images"),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load_classification(DataConfig(path=write(tmp_path / "bad.csv", lines)))
    assert "\n" not in str(caught.value)


def test_other_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="is empty"):
        load_classification(DataConfig(path=tmp_path / "empty.csv"))
    (tmp_path / "latin.csv").write_bytes("path,label\nü.png,a".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_classification(DataConfig(path=tmp_path / "latin.csv"))
    with pytest.raises(DataError, match=r"no train\.csv"):
        load_classification(DataConfig(path=tmp_path, kind="lists"))
    write(tmp_path / "train.csv", ["path,label"])
    write(tmp_path / "training.csv", ["path,label"])
    with pytest.raises(DataError, match="both mean the train split"):
        load_classification(DataConfig(path=tmp_path))
