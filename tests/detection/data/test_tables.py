"""CSV files with a row for each box, as people have them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.data.config import DataConfig
from swinkit.detection.data.splits import find_annotations, load_detection, load_parts
from swinkit.errors import DataError
from swinkit.registry import recognize

TENSORFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROWS = f"""{TENSORFLOW}
a.jpg,60,40,dog,1,2,30,20
a.jpg,60,40,cat,5,5,25,35
b.jpg,60,40,dog,10,5,30,15
c.jpg,60,40,,,,,
"""


@pytest.fixture
def write_table(tmp_path: Path, write_image: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a table and the images a, b and c of 40 x 60."""

    def write(
        text: str = ROWS, name: str = "boxes.csv", images: str = "", names: str = "abc"
    ) -> Path:
        for letter in names:
            write_image(tmp_path / images / f"{letter}.jpg", seed=ord(letter))
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def boxes(path: Path) -> dict[str, list[list[float]]]:
    """Boxes of each image by its stem."""
    _, parts = load_parts(DataConfig(path=path))
    samples = [sample for part in parts.values() for sample in part]
    return {sample.path.stem: sample.boxes_xyxy.tolist() for sample in samples}


def test_tensorflow_table_beside_its_images(write_table, tmp_path: Path) -> None:
    write_table()
    found = recognize(tmp_path)
    assert (found.task, found.kind) == ("detection", "csv")
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.class_names == ("cat", "dog")
    assert [len(sample) for sample in parts["all"]] == [2, 1, 0]
    assert boxes(tmp_path) == {
        "a": [[1, 2, 30, 20], [5, 5, 25, 35]],
        "b": [[10, 5, 30, 15]],
        "c": [],
    }
    assert any("boxes.csv" in note for note in loaded.notes)


def test_file_named_alone_finds_images_in_the_folder_beside_its_own(write_table) -> None:
    assert len(boxes(write_table(name="data/boxes.csv", images="images"))) == 3


def test_roboflow_has_a_table_in_each_split(write_table, tmp_path: Path) -> None:
    write_table(name="train/_annotations.csv", images="train")
    write_table(
        f"{TENSORFLOW}\na.jpg,60,40,dog,1,2,30,20\n", "valid/_annotations.csv", "valid", "a"
    )
    splits = load_detection(DataConfig(path=tmp_path))
    assert {name: len(part) for name, part in splits.by_name().items()} == {"train": 3, "val": 1}


def test_names_of_tables_tell_the_splits(write_table, tmp_path: Path) -> None:
    write_table(name="all_labels.csv")
    write_table(name="train_labels.csv")
    write_table(f"{TENSORFLOW}\nd.jpg,60,40,dog,1,2,30,20\n", "test_labels.csv", names="d")
    _, parts = load_parts(DataConfig(path=tmp_path))
    assert {name: len(part) for name, part in parts.items()} == {"train": 3, "test": 1}


def test_several_tables_without_splits_are_not_guessed_at(write_table, tmp_path: Path) -> None:
    write_table(name="old.csv")
    write_table(name="new.csv")
    with pytest.raises(DataError, match=r"new.csv, old.csv all list boxes; name one"):
        recognize(tmp_path)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,x_min,y_min,x_max,y_max,label", "a.jpg,1,2,30,20,dog"),
        ("image_id,label,x,y,width,height", "a,dog,1,2,29,18"),
        ("image_id;bbox;label", 'a;"[1, 2, 29, 18]";dog'),
        ("path,x1,y1,x2,y2,class_name,split", r"C:\pictures\a.jpg,1,2,30,20,dog,train"),
        ("filename,xmin,ymin,xmax,ymax", f"a.jpg,{1 / 60},{2 / 40},{30 / 60},{20 / 40}"),
    ],
)
def test_other_columns(write_table, header: str, row: str) -> None:
    (found,) = boxes(write_table(f"{header}\n{row}\n")).values()
    assert found == [pytest.approx([1, 2, 30, 20])]


def test_boxes_without_classes_are_objects(write_table) -> None:
    file = write_table("image,xmin,ymin,xmax,ymax\na.jpg,1,2,30,20\n")
    assert load_parts(DataConfig(path=file))[0].class_names == ("object",)


def test_column_of_splits(write_table) -> None:
    named = (("a", "train"), ("b", "valid"), ("c", "test"))
    rows = "\n".join(f"{name}.jpg,1,2,30,20,dog,{split}" for name, split in named)
    file = write_table(f"filename,xmin,ymin,xmax,ymax,class,split\n{rows}\n")
    _, parts = load_parts(DataConfig(path=file))
    assert {name: [s.path.stem for s in part] for name, part in parts.items()} == {
        "train": ["a"],
        "val": ["b"],
        "test": ["c"],
    }


def test_what_cannot_be_read_is_named_with_its_line(write_table) -> None:
    file = write_table(f"{ROWS}b.jpg,60,40,dog,1,two,30,20\ngone.jpg,60,40,dog,1,2,30,20\n")
    loaded, parts = load_parts(DataConfig(path=file))
    told = {problem.kind: f"{problem.where}: {problem.done}" for problem in loaded.problems}
    assert "line 6" in told["unreadable entry"]
    assert "two" in told["unreadable entry"]
    assert "gone.jpg" in told["missing image"]
    assert sum(map(len, parts["all"])) == 3


def test_table_without_a_box_is_refused(write_table) -> None:
    with pytest.raises(DataError, match="no box in any row"):
        load_parts(DataConfig(path=write_table(f"{TENSORFLOW}\na.jpg,60,40,,,,,\n")))


def test_lists_of_classes_stay_lists(write_table) -> None:
    assert recognize(write_table("path,label\na.jpg,dog\nb.jpg,cat\n")).kind == "lists"


def test_tables_beside_another_format_are_passed_over_also_where_they_are_ambiguous(
    write_table: Callable[..., Path], tmp_path: Path
) -> None:
    write_table(name="one.csv", images="images")
    write_table(name="two.csv", images="images")
    with pytest.raises(DataError, match="all list boxes"):
        find_annotations(tmp_path)
    pages = tmp_path / "Annotations"
    pages.mkdir()
    box = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax>"
    (pages / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><object><name>dog</name>"
        f"<bndbox>{box}</bndbox></object></annotation>"
    )
    found = find_annotations(tmp_path)
    assert found is not None
    assert found.kind == "voc"
    assert any("voc and csv; voc was read" in note for note in found.notes)
