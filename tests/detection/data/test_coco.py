"""COCO files: layouts, ids, classes, crowds, and everything that can be wrong in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from swinkit.data.config import DataConfig
from swinkit.data.problems import Problems
from swinkit.detection.data.coco import read_coco
from swinkit.detection.data.splits import load_detection, load_detection_samples, load_parts
from swinkit.errors import DataError

Entry = dict[str, Any]

# pycocotools has not followed NumPy 2 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def kinds(path: Path) -> list[str]:
    loaded, _ = load_parts(DataConfig(path=path))
    return [problem.kind for problem in loaded.problems]


@pytest.mark.parametrize("name", ["bccd", "nuclei"])
def test_real_sets_equal_pycocotools(data_dir: Path, name: str) -> None:
    splits = load_detection(DataConfig(path=data_dir / name))
    assert splits.problems == ()
    peer = COCO(str(data_dir / name / "annotations" / "val.json"))
    assert [sample.image_id for sample in splits.val] == sorted(
        peer.imgs, key=lambda number: peer.imgs[number]["file_name"]
    )
    for sample in splits.val[:12]:
        entries = peer.imgToAnns[sample.image_id]
        boxes = np.array([entry["bbox"] for entry in entries], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_array_equal(sample.boxes_xyxy, boxes)
        np.testing.assert_array_equal(sample.areas, [entry["area"] for entry in entries])
        names = [splits.class_names[label] for label in sample.labels]
        assert names == [peer.cats[entry["category_id"]]["name"] for entry in entries]
        if splits.has_masks:
            masks = np.stack([peer.annToMask(entry) for entry in entries])
            np.testing.assert_array_equal(sample.masks(), masks)


def test_sound_set(write_coco: Callable[..., Path], tmp_path: Path) -> None:
    write_coco("train")
    write_coco("val")
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert splits.category_ids == (1, 2)
    assert not splits.has_masks
    sample = splits.train[0]
    assert (sample.path, sample.size_hw) == (tmp_path / "images" / "a.png", (40, 60))
    assert sample.boxes_xyxy.tolist() == [[10, 5, 30, 15]]
    with pytest.raises(DataError, match="boxes but no masks"):
        sample.masks()
    assert "image in two splits" in {problem.kind for problem in splits.problems}
    assert "cat" in splits.summary()


def test_ids_with_holes_become_labels_without(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    categories = [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}]
    write_coco(annotations=[coco_box(1, 1, 90), coco_box(2, 2, 3)], categories=categories)
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.class_names == ("cat", "dog")
    assert loaded.category_ids == (3, 90)
    assert [sample.labels.tolist() for sample in parts["train"]] == [[1], [0]]
    assert [problem.kind for problem in loaded.problems] == ["category ids with holes"]


def test_boxes_that_cannot_be(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    bad = [[70, 5, 10, 10], [5, 5, 0, 10], [5, 5, -3, 4], [50, 30, 30, 30], [1, 1, float("nan"), 2]]
    flat = [5, 5, 5, 15]
    entries = [coco_box(place + 2, 1, bbox=bbox) for place, bbox in enumerate(bad)]
    write_coco(annotations=[coco_box(1, 1), *entries, coco_box(9, 2)])
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert sorted(problem.kind for problem in loaded.problems) == [
        "box of zero area",
        "box of zero area",
        "box outside the image",
        "box over the edge",
        "unreadable entry",
    ]
    assert parts["train"][0].boxes_xyxy.tolist() == [[10, 5, 30, 15], flat, [50, 30, 60, 40]]
    assert parts["train"][0].is_flat.tolist() == [False, True, False]
    assert "annotation 2" in next(
        problem.where for problem in loaded.problems if problem.kind == "box outside the image"
    )


def test_less_than_a_pixel_over_the_edge_is_cut_silently(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    write_coco(annotations=[coco_box(1, 1, bbox=[50, 30, 10.6, 10.2]), coco_box(2, 2)])
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.problems == ()
    assert parts["train"][0].boxes_xyxy.tolist() == [[50, 30, 60, 40]]


def test_images_that_cannot_be(
    write_coco: Callable[..., Path],
    tmp_path: Path,
    coco_box: Callable[..., Entry],
    coco_image: Callable[..., Entry],
) -> None:
    images = [
        coco_image(1, "a.png"),
        coco_image(2, "b.png", height=99),
        coco_image(3, "absent.png"),
        coco_image(4, "damaged.png"),
        coco_image(1, "c.png"),
        coco_image(5, "a.png"),
        {"id": 7},
        coco_image(6, "c.png"),
    ]
    write_coco(
        images=images,
        annotations=[coco_box(n, n) for n in (1, 2, 3, 4)] + [coco_box(8, 77), coco_box(9, 1, 55)],
        files=("a.png", "b.png", "c.png"),
    )
    (tmp_path / "images" / "damaged.png").write_bytes(b"no image")
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert sorted(problem.kind for problem in loaded.problems) == [
        "bad image",
        "duplicate id",
        "duplicate id",
        "image of another size",
        "image without objects",
        "missing image",
        "unknown class",
        "unknown image",
        "unreadable entry",
    ]
    assert [sample.path.name for sample in parts["train"]] == ["a.png", "c.png"]
    assert len(parts["train"][0]) == 1


def test_a_repeated_annotation_counts_once_a_repeated_id_twice(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    other = coco_box(1, 1, bbox=[0, 0, 5, 5])
    write_coco(annotations=[coco_box(1, 1), coco_box(1, 1), other, coco_box(2, 2)])
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert [problem.kind for problem in loaded.problems] == ["duplicate id", "duplicate id"]
    assert len(parts["train"][0]) == 2


def test_masks_that_cannot_be_leave_boxes(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    polygon = [[10, 5, 30, 5, 30, 15, 10, 15]]
    full = {"size": [40, 60], "counts": [205, 10, 40 * 60 - 215]}
    sizes = {"size": [10, 10], "counts": [50, 50]}
    values = [polygon, full, sizes, {"size": [40, 60], "counts": "zz"}, []]
    entries = [coco_box(n + 1, 1, segmentation=value) for n, value in enumerate(values)]
    crowd = coco_box(9, 2, iscrowd=1, segmentation=full)
    more = [coco_box(20 + n, 2, segmentation=polygon) for n in range(3)]
    write_coco(annotations=[*entries, crowd, *more])
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert loaded.has_masks
    assert sorted(problem.kind for problem in loaded.problems) == [
        "mask of another size",
        "object without mask",
        "unusable mask",
    ]
    first, second = parts["train"]
    assert not first.is_crowd.any()
    assert first.lacks_mask.tolist() == [False, False, True, True, True]
    assert second.is_crowd.tolist() == [True, False, False, False]
    masks = first.masks()
    assert masks.shape == (5, 40, 60)
    assert masks[0].sum() == 200
    assert masks[1].sum() == 10
    assert masks[4, 5:15, 10:30].all()
    np.testing.assert_array_equal(first.masks(np.array([1])), masks[1:2])


def test_a_few_masks_among_boxes_make_no_set_of_masks(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    polygon = [[10, 5, 30, 5, 30, 15, 10, 15]]
    entries = [coco_box(n, 1) for n in range(5)] + [coco_box(9, 2, segmentation=polygon)]
    write_coco(annotations=entries)
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert not loaded.has_masks
    assert any("only 1 of 6 objects have a mask" in note for note in loaded.notes)
    assert not parts["train"][0].is_crowd.any()


def test_strict_refuses_and_counts(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry]
) -> None:
    write_coco(annotations=[coco_box(1, 1), coco_box(2, 2, bbox=[5, 5, 0, 0])])
    with pytest.raises(DataError, match=r"1 problems.*strict.*box of zero area 1") as caught:
        load_detection(DataConfig(path=tmp_path, strict=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        5,
        None,
        {},
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3]},
        {"id": 1, "image_id": [1], "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": {}, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 1, "image_id": 1, "category_id": "cat", "bbox": [1, 2, 3, 4]},
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, "x", 3, 4]},
    ],
)
def test_entries_of_any_kind_are_told_and_left_out(
    write_coco: Callable[..., Path], tmp_path: Path, coco_box: Callable[..., Entry], entry: object
) -> None:
    write_coco(annotations=[entry, coco_box(7, 1), coco_box(8, 2)])
    assert kinds(tmp_path) == ["unreadable entry"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "no list of images and annotations and categories"),
        ('{"images": 1, "annotations": [], "categories": []}', "no list of images"),
        ('{"images": [], "annotations": [], "categories": []}', "no categories"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "train.json"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_coco(file, ["train"], Problems())


def test_roboflow_layout_and_its_heading_category(
    tmp_path: Path,
    write_image: Callable[..., Path],
    coco_box: Callable[..., Entry],
    coco_image: Callable[..., Entry],
) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    for split in ("train", "valid", "test"):
        write_image(tmp_path / split / "x.jpg")
        values = {
            "images": [coco_image(0, "x.jpg")],
            "annotations": [coco_box(0, 0, 2)],
            "categories": categories,
        }
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(values))
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert splits.val[0].path == tmp_path / "valid" / "x.jpg"
    assert splits.test is not None
    assert splits.val[0].labels.tolist() == [1]


def test_the_official_layout(
    tmp_path: Path, write_image: Callable[..., Path], write_coco: Callable[..., Path]
) -> None:
    write_coco("instances_train2017", files=())
    write_coco("instances_val2017", files=())
    write_coco("captions_train2017", files=())
    for split in ("train2017", "val2017"):
        for name in ("a.png", "b.png"):
            write_image(tmp_path / split / name)
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.train[0].path == tmp_path / "train2017" / "a.png"
    assert splits.val[1].path == tmp_path / "val2017" / "b.png"


def test_one_file_is_split_by_image_the_same_way_each_time(
    tmp_path: Path,
    write_coco: Callable[..., Path],
    coco_box: Callable[..., Entry],
    coco_image: Callable[..., Entry],
) -> None:
    names = [f"{n}.png" for n in range(20)]
    file = write_coco(
        "labels",
        images=[coco_image(n, name) for n, name in enumerate(names)],
        annotations=[coco_box(n, n) for n in range(20)],
        files=tuple(names),
    )
    config = DataConfig(path=file, val_fraction=0.2, test_fraction=0.1)
    first, again = load_detection(config), load_detection(config)
    assert [len(part) for part in first.by_name().values()] == [14, 4, 2]
    assert [s.image_id for s in first.val] == [s.image_id for s in again.val]
    together = {s.path for part in first.by_name().values() for s in part}
    assert len(together) == 20


def test_file_names_of_another_machine(
    tmp_path: Path, write_coco: Callable[..., Path], coco_image: Callable[..., Entry]
) -> None:
    write_coco(images=[coco_image(1, "/home/me/x/a.png"), coco_image(2, "C:\\data\\b.png")])
    _, parts = load_parts(DataConfig(path=tmp_path))
    assert [sample.path.name for sample in parts["train"]] == ["a.png", "b.png"]


def test_all_images_missing_says_where_it_looked(
    tmp_path: Path, write_coco: Callable[..., Path]
) -> None:
    write_coco(files=())
    with pytest.raises(DataError, match=r"none of its 2 images was found: a\.png.*looked in"):
        load_detection(DataConfig(path=tmp_path))


def test_images_elsewhere_are_found_through_the_link_that_the_message_names(
    tmp_path: Path, write_coco: Callable[..., Path]
) -> None:
    write_coco()
    elsewhere = (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="a link called images"):
        load_parts(DataConfig(path=tmp_path))
    (tmp_path / "images").symlink_to(elsewhere)
    _, parts = load_parts(DataConfig(path=tmp_path))
    assert [sample.path.name for sample in parts["train"]] == ["a.png", "b.png"]


def test_classes_of_a_model(tmp_path: Path, write_coco: Callable[..., Path]) -> None:
    write_coco("test")
    samples, loaded = load_detection_samples(tmp_path, ("bird", "dog", "cat"))
    assert [sample.labels.tolist() for sample in samples] == [[2], [2]]
    assert len(set(loaded.category_ids)) == 3
    with pytest.raises(DataError, match="'cat', unknown to the model"):
        load_detection_samples(tmp_path, ("bird",))
    with pytest.raises(DataError, match="no images in the val split, only in test"):
        load_detection_samples(tmp_path, split="val")


def test_refuse_bad_images(
    tmp_path: Path, write_coco: Callable[..., Path], coco_image: Callable[..., Entry]
) -> None:
    write_coco(images=[coco_image(1, "a.png"), coco_image(2, "absent.png")])
    with pytest.raises(DataError, match="1 images are bad or missing"):
        load_detection(DataConfig(path=tmp_path, on_bad_image="refuse"))
