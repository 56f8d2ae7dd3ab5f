"""Pascal VOC trees, real and broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.data.config import DataConfig
from swinkit.detection.data.splits import load_detection, load_parts
from swinkit.errors import DataError
from swinkit.registry import recognize

PAGE = """<annotation><filename>{name}.jpg</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
</object>"""


def entry(name: str, *box: object, difficult: int = 0) -> str:
    return OBJECT.format(name=name, box=box, difficult=difficult)


@pytest.fixture
def write_page(tmp_path: Path, write_image: Callable[..., Path]) -> Callable[..., None]:
    """Writes Annotations/{name}.xml and its image."""

    def write(
        name: str, *objects: str, folder: str = "JPEGImages", text: str | None = None
    ) -> None:
        write_image(tmp_path / folder / f"{name}.jpg")
        file = tmp_path / "Annotations" / f"{name}.xml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text or PAGE.format(name=name, objects="".join(objects)))

    return write


def test_real_set_equals_its_coco_form(data_dir: Path) -> None:
    coco = load_detection(DataConfig(path=data_dir / "bccd"))
    voc = load_detection(DataConfig(path=data_dir / "bccd", kind="voc"))
    assert any("coco and voc; coco was read" in note for note in coco.notes)
    assert [problem.kind for problem in voc.problems] == ["box of zero area"] * 2
    for split, samples in coco.by_name().items():
        others = voc.by_name()[split]
        assert [s.path for s in samples] == [s.path for s in others]
        for one, other in zip(samples, others, strict=True):
            assert one.boxes_xyxy.tolist() == other.boxes_xyxy[~other.is_flat].tolist()
            names = [coco.class_names[label] for label in one.labels]
            assert names == [voc.class_names[label] for label in other.labels[~other.is_flat]]


@pytest.mark.parametrize("folder", ["annots", "Annotation", "xmls", "labels"])
def test_pages_in_folders_of_other_names(
    write_page: Callable[..., None], tmp_path: Path, folder: str
) -> None:
    write_page("a", entry("cat", 1, 2, 30, 20), folder="images")
    write_page("b", entry("dog", 5, 5, 25, 35), folder="images")
    (tmp_path / "Annotations").rename(tmp_path / folder)
    found = recognize(tmp_path)
    assert (found.task, found.kind) == ("detection", "voc")
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.class_names == ("cat", "dog")
    assert [sample.boxes_xyxy.tolist() for sample in parts["all"]] == [
        [[1, 2, 30, 20]],
        [[5, 5, 25, 35]],
    ]


def test_lists_give_the_splits(write_page: Callable[..., None], tmp_path: Path) -> None:
    for name in "abcd":
        write_page(name, entry("cat", 1, 2, 30, 20))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n\n")
    (lists / "cat_train.txt").write_text("a 1\nb -1\n")
    splits = load_detection(DataConfig(path=tmp_path))
    assert [[s.path.stem for s in part] for part in (splits.train, splits.val)] == [
        ["a", "b"],
        ["c"],
    ]
    assert any("1 xml files that no list" in note for note in splits.notes)
    assert splits.train[0].boxes_xyxy.tolist() == [[1, 2, 30, 20]]


def test_without_lists_images_are_split(write_page: Callable[..., None], tmp_path: Path) -> None:
    for name in "abcdefghij":
        write_page(name, entry("cat", 1, 2, 30, 20), folder="images")
    splits = load_detection(DataConfig(path=tmp_path, val_fraction=0.3))
    assert (len(splits.train), len(splits.val)) == (7, 3)
    ids = [s.image_id for part in splits.by_name().values() for s in part]
    assert sorted(ids) == list(range(1, 11))


def test_difficult_objects_are_ignored(write_page: Callable[..., None], tmp_path: Path) -> None:
    write_page("a", entry("cat", 1, 2, 30, 20), entry("dog", 1, 2, 9, 9, difficult=1))
    _, parts = load_parts(DataConfig(path=tmp_path))
    assert parts["all"][0].is_crowd.tolist() == [False, True]


def test_broken_files_are_told_and_left_out(
    write_page: Callable[..., None], tmp_path: Path
) -> None:
    write_page("a", entry("cat", 1, 2, 30, 20), entry("", 1, 2, 3, 4), entry("dog", 1, "x", 3, 4))
    write_page("b", text="<annotation><object>")
    write_page("c", text="<other/>")
    write_page("d", entry("cat", 1, 2, 30, 20))
    (tmp_path / "JPEGImages" / "d.jpg").unlink()
    write_page("e")
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert sorted(problem.kind for problem in loaded.problems) == [
        "image without objects",
        "missing image",
        *["unreadable entry"] * 4,
    ]
    assert [len(sample) for sample in parts["all"]] == [1, 0]


def test_no_objects_at_all(write_page: Callable[..., None], tmp_path: Path) -> None:
    write_page("a")
    with pytest.raises(DataError, match="no object in 1 VOC xml files"):
        load_detection(DataConfig(path=tmp_path))


def test_two_years_must_be_told_apart(tmp_path: Path) -> None:
    for year in ("VOC2007", "VOC2012"):
        (tmp_path / "VOCdevkit" / year).mkdir(parents=True)
    with pytest.raises(DataError, match="VOC2007, VOC2012; name one"):
        load_detection(DataConfig(path=tmp_path))


def test_xml_beside_images_in_split_folders(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / split / "a.jpg")
        page = PAGE.format(name="a", objects=entry("cat", 1, 2, 30, 20))
        (tmp_path / split / "a.xml").write_text(page)
    splits = load_detection(DataConfig(path=tmp_path))
    assert (len(splits.train), len(splits.val)) == (1, 1)
    assert splits.train[0].path.parent.name == "train"
    assert splits.val[0].path.parent.name == "valid"
