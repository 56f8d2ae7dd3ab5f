"""Entries of COCO files as tools write them: fields of other types, absent and joined ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swinkit.data.config import DataConfig
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import load_detection, load_parts
from swinkit.errors import DataError

Entry = dict[str, Any]
POLYGON = [[10, 5, 30, 5, 30, 15, 10, 15]]
BOX = [10, 5, 30, 15]


def load(path: Path) -> tuple[list[DetectionSample], str]:
    loaded, parts = load_parts(DataConfig(path=path))
    lines = [*loaded.notes, *map(str, loaded.problems)]
    return [sample for part in parts.values() for sample in part], "\n".join(lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"bbox": ["10", " 5.0", "20", "1e1"]},
        {"image_id": "1"},
        {"image_id": 1.0},
        {"category_id": "1"},
        {"category_id": 1.0},
        {"iscrowd": "0"},
        {"iscrowd": "false"},
        {"iscrowd": None},
        {"area": "200"},
        {"area": "none"},
        {"bbox": None, "segmentation": POLYGON},
        {"bbox": [], "segmentation": [["10", "5", "30", "5", "30", "15", "10", "15"]]},
        {"bbox": [], "segmentation": [[[10, 5], [30, 5], [30, 15], [10, 15]]]},
        {
            "bbox": [],
            "segmentation": {
                "size": ["40", 60.0],
                "counts": ["405", 10, *([30, 10] * 19), 1225],
            },
        },
    ],
)
def test_a_field_of_another_type_means_the_same(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry], changes: Entry
) -> None:
    write_coco(annotations=[{**coco_box(1, 1), **changes}, coco_box(2, 2)])
    samples, lines = load(tmp_path)
    assert samples[0].boxes_xyxy.tolist() == [BOX]
    assert not samples[0].is_crowd.any()
    assert "unreadable" not in lines


def test_ids_of_images_and_categories_in_strings(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    file = write_coco(annotations=[coco_box("7", 1), coco_box(8, 2, 2)])
    values = json.loads(file.read_text())
    for entry in [*values["images"], *values["categories"]]:
        entry["id"] = str(entry["id"])
    for side in ("height", "width"):
        values["images"][0][side] = str(values["images"][0][side])
    file.write_text(json.dumps(values), encoding="utf-16")
    samples, lines = load(tmp_path)
    assert [sample.image_id for sample in samples] == [1, 2]
    assert [sample.labels.tolist() for sample in samples] == [[0], [1]]
    assert lines == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3]"),
        ({"bbox": [1, "x", 3, 4]}, "bbox is [1, 'x', 3, 4]"),
        ({"bbox": "1 2 3 4"}, "bbox is '1 2 3 4'"),
        ({"bbox": []}, "no bbox, and no outline"),
        ({"bbox": [], "segmentation": [[1, 2, 3, 4]]}, "no bbox, and its segmentation cannot"),
        ({"category_id": None}, "category_id is None"),
        ({"category_id": 99}, "category 99"),
    ],
)
def test_what_cannot_be_read_names_its_field_and_makes_no_background(
    write_coco: Callable[..., Path],
    tmp_path: Path,
    coco_box: Callable[..., Entry],
    changes: Entry,
    field: str,
) -> None:
    write_coco(annotations=[{**coco_box(1, 1), **changes}, coco_box(2, 2)])
    samples, lines = load(tmp_path)
    assert [sample.path.name for sample in samples] == ["b.png"]
    assert "train.json, annotation 1: " in lines
    assert f"{field}" in lines
    assert "a.png: image that lost its objects" in lines


def test_one_picture_under_two_ids(
    write_coco: Callable[..., Path],
    tmp_path: Path,
    coco_box: Callable[..., Entry],
    coco_image: Callable[..., Entry],
) -> None:
    """The objects of both, what both list once."""
    more = coco_box(3, 5, bbox=[1, 1, 9, 9])
    write_coco(
        images=[coco_image(1, "a.png"), coco_image(2, "b.png"), coco_image(5, "a.png")],
        annotations=[coco_box(1, 1), coco_box(2, 2), more, coco_box(4, 5)],
    )
    samples, lines = load(tmp_path)
    assert [sample.image_id for sample in samples] == [1, 2]
    assert samples[0].boxes_xyxy.tolist() == [BOX, [1, 1, 10, 10]]
    assert "joined, with the objects of both" in lines
    assert "annotation 4: duplicate id: the same object as in the first entry" in lines


def test_two_names_that_lead_to_one_file_are_left_out(
    write_coco: Callable[..., Path],
    tmp_path: Path,
    coco_box: Callable[..., Entry],
    coco_image: Callable[..., Entry],
) -> None:
    write_coco(
        images=[coco_image(1, "camA/a.png"), coco_image(2, "camB/a.png"), coco_image(3, "b.png")],
        annotations=[coco_box(n, n) for n in (1, 2, 3)],
    )
    samples, lines = load(tmp_path)
    assert [sample.path.name for sample in samples] == ["b.png"]
    assert "ambiguous image" in lines


@pytest.mark.parametrize(
    "name",
    [
        "https://example.com/media/a%20b.jpg?token=x.y&z=1#top",
        "/data/local-files/?d=some/folder/a%20b.jpg",
        "s3://bucket/deep/a b.jpg",
        "A B.JPG",
        "images\\A b.jpg",
        "/data/upload/3/0123abcd-a b.jpg",
        "..\\/..\\/images/a b.jpg",
    ],
)
def test_names_of_images(
    write_coco: Callable[..., Path], tmp_path: Path, coco_image: Callable[..., Entry], name: str
) -> None:
    images = [coco_image(1, name), coco_image(2, "b.png")]
    write_coco(images=images, files=("a b.jpg", "b.png"))
    assert load(tmp_path)[0][0].path.name == "a b.jpg"


def test_uploads_of_one_name_are_not_mixed_up(
    write_coco: Callable[..., Path], tmp_path: Path, coco_image: Callable[..., Entry]
) -> None:
    images = [coco_image(1, "01234567-a.png"), coco_image(2, "89abcdef-a.png")]
    write_coco(images=images, files=("01234567-a.png",))
    samples, lines = load(tmp_path)
    assert [sample.image_id for sample in samples] == [1]
    assert "89abcdef-a.png (image 2" in lines


def test_classes_that_differ_in_case(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    """Across splits they are one class; side by side in one file they are two, as letters are."""
    write_coco("train", annotations=[coco_box(1, 1), coco_box(2, 2, 2)])
    other = [{"id": 7, "name": "Dog "}, {"id": 9, "name": "bird"}]
    write_coco("val", annotations=[coco_box(1, 1, 7), coco_box(2, 2, 7)], categories=other)
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.class_names == ("cat", "dog", "bird")
    assert splits.val[0].labels.tolist() == [1]
    assert any("no training object of bird" in note for note in splits.notes)
    letters = [{"id": 1, "name": "a"}, {"id": 2, "name": "A"}]
    for split in ("train", "val"):
        write_coco(split, annotations=[coco_box(1, 1, 1), coco_box(2, 2, 2)], categories=letters)
    assert load_detection(DataConfig(path=tmp_path)).class_names == ("a", "A")


def test_training_without_objects_is_refused(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    for entries, message in (
        ([], "the training images have no objects"),
        ([coco_box(1, 1, iscrowd="1"), coco_box(2, 2, bbox=[1, 2, 0, 5])], "nothing to learn"),
    ):
        for split in ("train", "val"):
            write_coco(split, annotations=entries)
        with pytest.raises(DataError, match=message):
            load_detection(DataConfig(path=tmp_path))
