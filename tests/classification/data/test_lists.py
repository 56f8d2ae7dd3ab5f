"""CSV lists."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.classification.data.splits import load_classification, read_samples
from swinkit.data.config import DataConfig
from swinkit.errors import DataError
from swinkit.registry import recognize


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
    assert [Path(bad.where).name for bad in splits.problems] == ["gone 1.png", "gone 2.png"]
    assert len(splits.train) + len(splits.val) == 12


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["date,place", "x,a"], "no column of images in its header 'date,place'"),
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
    (tmp_path / "latin.csv").write_bytes("path,label\nü.png,a\x81".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: is no UTF-8"):
        load_classification(DataConfig(path=tmp_path / "latin.csv"))
    with pytest.raises(DataError, match=r"no train\.csv"):
        load_classification(DataConfig(path=tmp_path, kind="lists"))
    write(tmp_path / "train.csv", ["path,label"])
    write(tmp_path / "training.csv", ["path,label"])
    with pytest.raises(DataError, match="both mean the train split"):
        load_classification(DataConfig(path=tmp_path))


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("image,label", "{path},{label}"),
        ("id_code,diagnosis", "{stem},{label}"),
        ("label;Filename", "{label};{name}"),
        ("file_name,category", "{windows},{label}"),
        ("Image_ID,colour", "{stem},{label}"),
        ("what,class", "{name},{label}"),
        ("path,label", "{upper},{label}"),
        ("img_path,species", "/home/somebody/{path},{label}"),
        ("sep=;\npath;label", "{path};{label}"),
        ("Unnamed: 0,path,label", "3,{path},{label}"),
    ],
)
def test_columns_and_paths_as_people_write_them(
    tmp_path: Path, make_images: Callable, header: str, form: str
) -> None:
    lines = []
    for number, path in enumerate(make_images(tmp_path / "img", 8)):
        inside = path.relative_to(tmp_path)
        parts = {"path": inside.as_posix(), "name": path.name, "stem": path.stem}
        parts["windows"] = inside.as_posix().replace("/", "\\")
        parts["upper"] = inside.with_suffix(".PNG").as_posix()
        lines.append(form.format(label="ab"[number % 2], **parts))
    splits = load_classification(DataConfig(path=write(tmp_path / "l.csv", [header, *lines])))
    assert len(splits.train) + len(splits.val) == 8
    assert splits.class_names == ("a", "b")
    assert not splits.problems
    assert recognize(tmp_path).kind == "lists"


def test_a_column_for_each_class(tmp_path: Path, make_images: Callable) -> None:
    for split, count in (("train", 6), ("valid", 3)):
        paths = make_images(tmp_path / split, count)
        rows = [f"{p.name}, {int(i % 2 == 0)}, {i % 2}, 0" for i, p in enumerate(paths)]
        if split == "train":
            rows[0] = f"{paths[0].name}, 1, 1, 0"
            rows[1] = f"{paths[1].name}, 0, 0, 1"
        write(tmp_path / split / "_classes.csv", ["filename, Oak, birch, Unlabeled", *rows])
    assert recognize(tmp_path).kind == "lists"
    splits = load_classification(DataConfig(path=tmp_path))
    assert splits.counts() == {"train": {"Oak": 2, "birch": 2}, "val": {"Oak": 2, "birch": 1}}
    kinds = [problem.kind for problem in splits.problems]
    assert kinds == ["image of several classes", "image without a class"]
    assert "line 2" in splits.problems[0].where
    assert "Oak, birch" in splits.problems[0].done
    write(tmp_path / "all.csv", ["filename,a,b", f"train/{paths[0].name},1,1"])
    with pytest.raises(DataError, match=r"no image of exactly one class \(1 have several\)"):
        load_classification(DataConfig(path=tmp_path / "all.csv"))


def test_loose_folders_with_a_list_beside(tmp_path: Path, make_images: Callable) -> None:
    for folder, count in (("train_images", 6), ("test_images", 4)):
        make_images(tmp_path / folder, count)
    write(tmp_path / "sample_submission.csv", ["image_id", "image 0.png"])
    write(tmp_path / "train.csv", ["image_id,label", *(f"image {i}.png,{i % 2}" for i in range(6))])
    write(tmp_path / "test.csv", ["image_id", *(f"image {i}.png" for i in range(4))])
    splits = load_classification(DataConfig(path=tmp_path))
    assert len(splits.train) + len(splits.val) == 6
    assert {sample.path.parent.name for sample in splits.train} == {"train_images"}
    assert any("test.csv: has no column of classes and was left out" in n for n in splits.notes)


def test_several_classes_in_a_cell(tmp_path: Path, images: list[str]) -> None:
    lines = [f'"{name}",{"ab"[i % 2]}' for i, name in enumerate(images)]
    lines[0] = f'"{images[0]}",a b'
    lines[1] = f'"{images[1]}",a|b'
    splits = load_classification(
        DataConfig(path=write(tmp_path / "l.csv", ["image_name,tags", *lines]))
    )
    assert [problem.kind for problem in splits.problems] == ["image of several classes"] * 2
    assert splits.class_names == ("a", "b")


def test_a_submission_is_no_list(tmp_path: Path, make_images: Callable) -> None:
    for folder in ("train", "test"):
        make_images(tmp_path / folder, 4)
    write(tmp_path / "sampleSubmission.csv", ["id,label", *(f"image {i},0" for i in range(4))])
    with pytest.raises(DataError, match="are splits, not classes"):
        load_classification(DataConfig(path=tmp_path))
    write(tmp_path / "labels.csv", ["id,breed", *(f"image {i},{i % 2}" for i in range(4))])
    splits = load_classification(DataConfig(path=tmp_path))
    assert {sample.path.parent.name for sample in (*splits.train, *splits.val)} == {"train"}


def test_two_lists_in_a_folder(tmp_path: Path, images: list[str]) -> None:
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, ["path,label", *rows(images)])
    with pytest.raises(DataError, match=r"a\.csv, b\.csv all list images; name one of them"):
        load_classification(DataConfig(path=tmp_path))
    (tmp_path / "b.csv").unlink()
    splits = load_classification(DataConfig(path=tmp_path))
    assert any("read from a.csv" in note for note in splits.notes)


def test_images_in_no_list_are_told(tmp_path: Path, images: list[str]) -> None:
    splits = load_classification(
        DataConfig(path=write(tmp_path / "l.csv", ["path,label", *rows(images[:8])]))
    )
    assert any("4 images beside the listed ones are in no list" in note for note in splits.notes)


def test_hostile_lists(tmp_path: Path, images: list[str]) -> None:
    lines = ["path,label", *rows(images), "~x.png,a", "~/nobody.png,b", f"{'x' * 5000}.png,a"]
    lines.append(f"{'x' * 300}/of a folder.png,b")
    splits = load_classification(DataConfig(path=write(tmp_path / "l.csv", lines)))
    assert len(splits.problems) == 4
    write(tmp_path / "l.csv", ["path,label", f'{images[0]},"{"b" * 200_000}'])
    with pytest.raises(DataError, match=r"line 2: is no CSV"):
        load_classification(DataConfig(path=tmp_path / "l.csv"))
    write(tmp_path / "l.csv", rows(images))
    with pytest.raises(DataError, match="names no columns; write path,label above"):
        load_classification(DataConfig(path=tmp_path / "l.csv"))


def test_the_cases(cases_dir: Path) -> None:
    def counts(name: str) -> dict[str, dict[str, int]]:
        return load_classification(DataConfig(path=cases_dir / name)).counts()

    for letter in "abcd":
        assert counts(f"13-csv/{letter}.csv") == {
            "train": {"cat": 2, "dog": 2},
            "val": {"cat": 1, "dog": 1},
        }
    assert counts("13-csv/f.csv")["train"] == {"Käse": 2, "dog": 2}
    assert counts("13-csv/e.csv")["train"] == {"0": 2, "1": 2}
    found = counts("34-roboflow-multiclass")
    assert found["train"] == {"oak": 2, "birch": 2, "maple": 2}
    assert found["val"] == found["test"] == {"oak": 1, "birch": 1, "maple": 1}
    for name in ("tilde", "field"):
        with contextlib.suppress(DataError):
            counts(f"hostile/csv/{name}.csv")


def test_evaluation_tells_what_is_left_out(tmp_path: Path, make_images: Callable) -> None:
    paths = make_images(tmp_path / "test", 4)
    rows = [f"{path.name},{int(i == 0)},1" for i, path in enumerate(paths)]
    write(tmp_path / "test" / "_classes.csv", ["filename,a,b", *rows])
    samples, remarks = read_samples(tmp_path, ("a", "b"))
    assert [sample.label for sample in samples] == [1, 1, 1]
    assert any("image of several classes: 1" in line for line in remarks)
    assert any("images are in column filename" in line for line in remarks)
