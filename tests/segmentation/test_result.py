"""SemanticMap: what it refuses, what it measures, what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from swinkit.errors import SwinkitError
from swinkit.pictures.drawing import class_colors
from swinkit.segmentation.result import VOID, SemanticMap

NAMES = ("sky", "road", "Baum $a$")
LABELS = np.zeros((40, 60), np.int64)
LABELS[25:, :] = 1
LABELS[10:20, 10:30] = 2
LABELS[13:16, 14:20] = 0


def make(**changes: object) -> SemanticMap:
    return SemanticMap(**{"class_names": NAMES, "labels": LABELS, "source": "a/b.jpg", **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ()}, ["class name"]),
        ({"labels": LABELS.astype(float)}, ["integers", "float64"]),
        ({"labels": LABELS[None]}, ["(H, W)", "(1, 40, 60)"]),
        ({"labels": LABELS + 1}, ["0..2", "1..3", "a/b.jpg"]),
        ({"labels": LABELS - 1}, ["-1..1"]),
        ({"probabilities": np.zeros((2, 40, 60))}, ["(3, 40, 60)", "(2, 40, 60)"]),
        ({"probabilities": np.zeros((3, 40, 60))}, ["sum 1", "softmax"]),
        ({"probabilities": np.full((3, 40, 60), np.nan)}, ["NaN"]),
        ({"palette": np.zeros((2, 3), np.uint8)}, ["(3, 3) uint8", "(2, 3)"]),
        ({"image_rgb": np.zeros((60, 40, 3), np.uint8)}, ["(40, 60)", "(60, 40)"]),
    ],
)
def test_refuses_with_expected_against_actual(changes: dict, words: list[str]) -> None:
    with pytest.raises(SwinkitError) as caught:
        make(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_areas_and_masks() -> None:
    found = make()
    assert found.areas() == {"sky": 1500 - 200 + 18, "road": 900, "Baum $a$": 182}
    assert sum(found.areas().values()) == LABELS.size
    assert found.mask("road").sum() == 900
    assert found.labels.dtype == np.uint8
    assert "road" in repr(found)
    with pytest.raises(SwinkitError, match="'sea'"):
        found.mask("sea")


def test_void_pixels_count_nowhere() -> None:
    labels = np.where(LABELS == 1, VOID, LABELS)
    found = make(labels=labels)
    assert "road" not in found.areas()
    assert found.labels[30, 0] == VOID
    with pytest.raises(SwinkitError, match=r"0\.\.2"):
        make(labels=np.where(LABELS == 1, 77, labels))


def test_many_classes_need_more_bits(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(300)]
    labels = np.full((8, 8), 255)
    labels[0] = 299
    found = SemanticMap(tuple(names), labels)
    assert found.labels.dtype == np.uint16
    assert found.areas() == {"class 255": 56, "class 299": 8}
    with pytest.raises(SwinkitError, match="256 classes"):
        found.save_png(tmp_path / "map.png")


def test_polygons_outline_the_regions() -> None:
    polygons = make().polygons()
    assert list(polygons) == ["sky", "road", "Baum $a$"]
    (road,) = polygons["road"]
    assert road.min(axis=0).tolist() == [0, 25]
    assert road.max(axis=0).tolist() == [59, 39]
    assert len(polygons["Baum $a$"]) == 2  # outline and hole
    assert len(make().polygons(smallest=100)["Baum $a$"]) == 1


@pytest.mark.parametrize("classes", [3, 11, 200, 256])
def test_palette_png_holds_the_labels(tmp_path: Path, classes: int) -> None:
    labels = np.arange(256).reshape(16, 16) % classes
    if classes < 256:
        labels[0, 0] = VOID
    found = SemanticMap(tuple(map(str, range(classes))), labels)
    target = tmp_path / "deep" / "map.png"
    found.save_png(target)
    with Image.open(target) as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.asarray(picture), labels)
        painted = np.asarray(picture.convert("RGB"))
    assert np.array_equal(painted[0, 1], class_colors(classes)[1])


def test_dict_and_json() -> None:
    values = json.loads(make(seconds=1.5).to_json())
    assert values["size_hw"] == [40, 60]
    assert values["seconds"] == 1.5
    assert sum(entry["share"] for entry in values["classes"]) == pytest.approx(1)


def test_coco_and_supervision_cover_every_pixel_once() -> None:
    found = make()
    entries = found.to_coco(4, (5, 6, 7))
    assert [entry["category_id"] for entry in entries] == [5, 6, 7]
    masks = np.array([coco_mask.decode(entry["segmentation"]) for entry in entries])
    assert (masks.sum(axis=0) == 1).all()
    other = found.to_supervision()
    assert np.asarray(other.mask).sum(axis=0).min() == 1
    assert other.class_id.tolist() == [0, 1, 2]


def test_probabilities_are_kept_read_only() -> None:
    values = np.full((3, 40, 60), 1 / 3, np.float16)
    found = make(probabilities=values)
    assert found.probabilities.dtype == np.float16
    with pytest.raises(ValueError, match="read-only"):
        found.probabilities[0] = 1


@pytest.mark.parametrize("with_image", [True, False])
def test_plot_writes_a_picture(tmp_path: Path, with_image: bool) -> None:
    image = np.full((40, 60, 3), 100, np.uint8) if with_image else None
    found = make(image_rgb=image, labels=np.where(LABELS == 0, VOID, LABELS))
    target = tmp_path / "plot.png"
    figure = found.plot(target)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[0] == "road  37.5%"
    assert any("$a$" in text for text in texts)
    with Image.open(target) as picture:
        assert picture.width > picture.height
    drawn = found.draw()
    assert drawn[0, 0].tolist() == ([100] * 3 if with_image else [235] * 3), "void stays itself"
