"""Detections and InstanceMasks: what they refuse, what they become, what they draw."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import SwinkitError
from swinkit.pictures.annotating import LONG_SIDE
from swinkit.pictures.drawing import class_colors, readable_on

NAMES = ("cat", "dog", "鳥")
BOXES = np.array([[2, 3, 12, 9], [0, 0, 5, 20], [4.5, 4, 30, 20]])


def make(**changes: object) -> Detections:
    values = {
        "class_names": NAMES,
        "boxes_xyxy": BOXES,
        "scores": np.array([0.9, 0.6, 0.3]),
        "labels": np.array([1, 1, 2]),
        "size_hw": (20, 30),
        "source": "a/b.jpg",
    }
    return Detections(**{**values, **changes})


def make_masks(**changes: object) -> InstanceMasks:
    masks = np.zeros((3, 20, 30), bool)
    for mask, (left, top, right, bottom) in zip(masks, BOXES.astype(int), strict=True):
        mask[top:bottom, left:right] = True
    plain = make()
    values = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    return InstanceMasks(**{**values, "masks": masks, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ()}, ["class name"]),
        ({"scores": np.array([0.5])}, ["scores", "(3,)", "(1,)", "a/b.jpg"]),
        ({"boxes_xyxy": np.zeros((3, 5))}, ["boxes_xyxy", "(3, 4)", "(3, 5)"]),
        ({"labels": np.zeros((3, 1))}, ["labels", "(3,)", "(3, 1)"]),
        ({"labels": np.array([0, 1, 3])}, ["labels", "0..2", "0..3"]),
        ({"labels": np.array([0, 1, -1])}, ["-1..1"]),
        ({"scores": np.array([0.5, 1.5, 0.1])}, ["0..1", "1.5"]),
        ({"scores": np.array([0.5, np.nan, 0.1])}, ["1 of 3", "NaN"]),
        ({"boxes_xyxy": BOXES[:, [2, 1, 0, 3]]}, ["left <= right", "row 0"]),
        ({"boxes_xyxy": np.full((3, 4), np.inf)}, ["12 of 12"]),
        ({"size_hw": (0, 30)}, ["size_hw", "(0, 30)"]),
        ({"image_rgb": np.zeros((20, 30), np.uint8)}, ["(H, W, 3) uint8"]),
        ({"image_rgb": np.zeros((30, 20, 3), np.uint8)}, ["(20, 30)", "(30, 20)"]),
    ],
)
def test_refuses_with_expected_against_actual(changes: dict, words: list[str]) -> None:
    with pytest.raises(SwinkitError) as caught:
        make(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("shape", [(2, 20, 30), (3, 20, 31), (3, 20)])
def test_refuses_masks_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(SwinkitError, match="masks"):
        make_masks(masks=np.zeros(shape, bool))


def test_nothing_found_is_a_result() -> None:
    empty = make(boxes_xyxy=np.zeros((0, 4)), scores=np.zeros(0), labels=np.zeros(0))
    assert len(empty) == 0
    assert empty.to_coco(1) == []
    assert empty.to_dict()["objects"] == []
    assert len(empty.to_supervision()) == 0
    assert "nothing" in repr(empty)
    assert empty.draw().shape[2] == 3
    assert len(make_masks().above(2).to_supervision().mask) == 0


def test_choosing_keeps_everything_together() -> None:
    found = make_masks()
    best = found.above(0.5)
    assert isinstance(best, InstanceMasks)
    assert best.names == ("dog", "dog")
    assert np.array_equal(best.masks.to_dense(), found.masks.to_dense()[:2])
    assert len(found.above(0.6)) == 1  # higher, not as high
    assert found.rows([2]).boxes_xyxy.tolist() == [[4.5, 4, 30, 20]]
    assert found.counts() == {"dog": 2, "鳥": 1}
    assert "2 dog" in repr(found)


def test_later_changes_of_the_input_do_not_reach_the_result() -> None:
    boxes = BOXES.astype(np.float32)
    found = make(boxes_xyxy=boxes)
    boxes[:] = 0
    assert found.boxes_xyxy[0, 0] == 2
    with pytest.raises(ValueError, match="read-only"):
        found.boxes_xyxy[0] = 1


def test_coco_entries() -> None:
    entries = make().to_coco(7)
    assert entries[0] == {
        "image_id": 7,
        "category_id": 2,
        "bbox": [2.0, 3.0, 10.0, 6.0],
        "score": pytest.approx(0.9),
    }
    assert [entry["category_id"] for entry in make().to_coco(7, (10, 30, 90))] == [30, 30, 90]
    json.dumps(entries)
    with pytest.raises(SwinkitError, match="expected 3"):
        make().to_coco(7, (1, 2))


def test_coco_masks_decode_to_the_same_pixels() -> None:
    found = make_masks()
    entries = found.to_coco("x")
    json.dumps(entries)
    for entry, mask in zip(entries, found.masks, strict=True):
        assert np.array_equal(coco_mask.decode(entry["segmentation"]), mask)


def test_json_is_one_readable_line() -> None:
    text = make_masks(seconds=0.5).to_json()
    assert "\n" not in text
    assert "鳥" in text
    values = json.loads(text)
    assert values["size_hw"] == [20, 30]
    assert values["objects"][0]["label"] == "dog"
    assert values["objects"][0]["box_xyxy"] == [2, 3, 12, 9]
    assert values["objects"][0]["segmentation"]["size"] == [20, 30]


def test_supervision_has_the_same_objects() -> None:
    found = make_masks()
    other = found.to_supervision()
    assert np.array_equal(other.xyxy, found.boxes_xyxy)
    assert np.array_equal(other.class_id, found.labels)
    assert np.array_equal(np.asarray(other.mask), found.masks.to_dense())
    assert list(other.data["class_name"]) == ["dog", "dog", "鳥"]
    assert make().to_supervision().mask is None


def test_label_map_puts_the_best_on_top() -> None:
    numbers = make_masks().label_map()
    assert numbers[4, 5] == 1
    assert numbers[0, 0] == 2
    assert numbers[15, 20] == 3
    assert numbers[0, 29] == 0


@pytest.mark.parametrize("size_hw", [(20, 30), (40, 60), (2000, 3000)])
@pytest.mark.parametrize("with_image", [True, False])
def test_drawn_pictures_can_be_looked_at(
    tmp_path: Path, size_hw: tuple[int, int], with_image: bool
) -> None:
    factor = size_hw[0] // 20
    masks = make_masks().masks.to_dense().repeat(factor, 1).repeat(factor, 2)
    found = make_masks(
        size_hw=size_hw,
        boxes_xyxy=BOXES * factor,
        masks=masks,
        image_rgb=np.full((*size_hw, 3), 120, np.uint8) if with_image else None,
    )
    picture = found.draw()
    assert LONG_SIDE[0] <= max(picture.shape) <= LONG_SIDE[1]
    assert picture.shape[1] / picture.shape[0] == pytest.approx(1.5, abs=0.01)
    pure = class_colors(3)[1]
    assert (picture == pure).all(axis=2).any(), "the box has its class's own color"
    target = tmp_path / "new" / "plot.png"
    found.plot(target)
    with Image.open(target) as written:
        assert written.size == (picture.shape[1], picture.shape[0])


def test_drawing_leaves_the_image_alone() -> None:
    image = np.full((900, 1200, 3), 120, np.uint8)
    found = make(size_hw=(900, 1200), image_rgb=image, boxes_xyxy=BOXES * 30)
    found.draw()
    assert (image == 120).all()


def test_plot_refuses_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match=r"\.xyz.*\.png"):
        make().plot(tmp_path / "plot.xyz")


def test_colors_differ_and_stay() -> None:
    many = class_colors(48)
    assert len({tuple(color) for color in many}) == 48
    assert np.array_equal(class_colors(5), many[:5])
    assert readable_on(np.array([[255, 255, 0], [0, 0, 120]], np.uint8)).tolist() == [
        [0, 0, 0],
        [255, 255, 255],
    ]


def test_importing_results_is_light() -> None:
    code = (
        "import sys, swinkit.detection.result, swinkit.segmentation.result; "
        "print([name for name in ('torch', 'matplotlib', 'supervision', 'faster_coco_eval') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
