"""Exports of annotation tools in their habits: neighbors of the cases that once went wrong."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swinkit.data.config import DataConfig
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import load_detection, load_parts
from swinkit.errors import DataError

WriteImage = Callable[..., Path]
LINE = "1 0.5 0.5 0.5 0.25\n"  # 15, 15, 45, 25 in an image of 40 x 60
BOX = [15, 15, 45, 25]


def load(path: Path) -> tuple[list[DetectionSample], str]:
    """Every sample, and what was told."""
    loaded, parts = load_parts(DataConfig(path=path))
    lines = [*loaded.notes, *map(str, loaded.problems)]
    return [sample for part in parts.values() for sample in part], "\n".join(lines)


def boxes(sample: DetectionSample) -> list[list[float]]:
    rounded: list[list[float]] = sample.boxes_xyxy.round(3).tolist()
    return rounded


def shape(kind: str, points: Any, **more: Any) -> dict[str, Any]:
    return {"label": "cat", "points": points, "group_id": None, "shape_type": kind, **more}


@pytest.fixture
def write_labelme(tmp_path: Path, write_image: WriteImage) -> Callable[..., None]:
    def write(name: str, *shapes: Any, **changes: Any) -> None:
        write_image(tmp_path / f"{name}.png")
        content = {
            **{"version": "5.2", "flags": {}, "shapes": shapes, "imagePath": f"{name}.png"},
            **{"imageData": None, "imageHeight": 40, "imageWidth": 60, **changes},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    return write


def test_labelme_shapes(write_labelme: Callable[..., None], tmp_path: Path) -> None:
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1:3, 2:5] = 255
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    mask = base64.b64encode(stored.getvalue()).decode()
    write_labelme(
        "a",
        shape("rectangle", [[45, 25], [15, 15]]),
        shape("polygon", [["10", "8"], [40, 8], [40, 30]], group_id=1),
        shape("polygon", [[2, 2], [6, 2], [6, 6]], group_id=1),
        shape("circle", [[30, 20], [36, 28]]),
        shape("mask", [[20, 10], [25, 13]], mask=mask),
        shape("polygon", [[1, 1], [9, 1], [9, 9]], flags={"difficult": True}),
        shape("point", [[3, 3]]),
        shape("linestrip", [[3, 3], [9, 9]]),
        shape("polygon", [[3, 3], [9, 9]]),
    )
    write_labelme("b")
    (first, second), lines = load(tmp_path)
    assert boxes(first) == [BOX, [2, 2, 40, 30], [20, 10, 40, 30], [22, 11, 25, 13], [1, 1, 9, 9]]
    assert first.is_crowd.tolist() == [False] * 4 + [True]
    assert first.lacks_mask.tolist() == [True] + [False] * 4
    assert first.masks()[3].sum() == 6
    assert len(second) == 0
    assert "1 of kind point" in lines
    assert "1 of kind linestrip" in lines
    assert "a.json, shape 9: unreadable entry: a polygon of 2 points" in lines
    assert "b.png: image without objects: kept as background" in lines


def test_labelme_flags_of_images_are_named(
    write_labelme: Callable[..., None], tmp_path: Path
) -> None:
    write_labelme("a", flags={"__ignore__": False, "cat": True, "dog": False})
    write_labelme("b", flags={"cat": False, "dog": True})
    with pytest.raises(DataError, match=r"but flags of images \(cat, dog\); to classify by them"):
        load_parts(DataConfig(path=tmp_path))


def test_labelme_beside_images_and_renamed(
    write_labelme: Callable[..., None], tmp_path: Path, write_image: WriteImage
) -> None:
    rectangle = shape("rectangle", [[15, 15], [45, 25]])
    write_labelme("a", rectangle, imagePath="b.png")
    write_labelme("b", rectangle, imagePath="..\\pictures\\b.png")
    write_labelme("c", rectangle, imagePath="gone.png", imageData="AAAA")
    (tmp_path / "c.png").unlink()
    samples, lines = load(tmp_path)
    assert [sample.path.name for sample in samples] == ["a.png", "b.png"]
    assert "it names 'b.png', but a.png" in lines
    assert "missing image" in lines
    assert "inside the file: save it" in lines


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"shapes": 1, "version": "5"}', '{"shapes": [3, {"label": []}], "flags": 0}'],
)
def test_broken_labelme_files_are_one_line(
    tmp_path: Path, write_image: WriteImage, text: str
) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


CVAT = """<annotations><version>1.1</version><meta><task><labels><label><name>dog</name></label>
<label><name>cat</name></label></labels></task></meta>
<image id="0" name="sub/a.png" width="60" height="40" subset="Train">
<box label="cat" xtl="15" ytl="15" xbr="45" ybr="25" occluded="0" z_order="0"></box>
<box label="cat" xtl="20" ytl="15" xbr="40" ybr="25" rotation="90.0"/>
<polygon label="dog" points="10,8;40,8;40.0,30" z_order="0"/>
<ellipse label="dog" cx="30" cy="20" rx="10" ry="5"/>
<mask label="dog" rle="3, 2, 3" left="10" top="5" width="4" height="2"/>
<polyline label="dog" points="1,1;2,2"/>
<box label="cat" xtl="x" ytl="15" xbr="45" ybr="25"/>
</image>
<image id="1" name="sub/b.png" width="60" height="40" subset="Validation"></image></annotations>"""


def test_cvat_for_images(tmp_path: Path, write_image: WriteImage) -> None:
    for name in "ab":
        write_image(tmp_path / "images" / f"{name}.png")
    (tmp_path / "annotations.xml").write_text(CVAT)
    for path in (tmp_path, tmp_path / "annotations.xml"):
        loaded, parts = load_parts(DataConfig(path=path))
        assert (loaded.kind, loaded.class_names) == ("cvat", ("dog", "cat"))
        assert list(parts) == ["train", "val"]
        found = parts["train"][0]
        assert found.labels.tolist() == [1, 1, 0, 0, 0]
        assert boxes(found) == [
            BOX,
            [25, 10, 35, 30],
            [10, 8, 40, 30],
            [20, 15, 40, 25],
            [10, 5, 14, 7],
        ]
        assert found.masks(np.array([4]))[0].sum() == 2
        kinds = [problem.kind for problem in loaded.problems]
        assert kinds == [
            *("unreadable entry", "shape left out"),
            *["object without mask"] * 2,
            "image without objects",
        ]


def test_a_video_of_cvat_says_what_to_export(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(
        "<annotations><track id='0' label='a'/></annotations>"
    )
    with pytest.raises(DataError, match="export the task as CVAT for images"):
        load(tmp_path)


@pytest.mark.parametrize("list_name", ["train.txt", "data/train.txt"])
def test_lists_of_cvat_and_darknet(tmp_path: Path, write_image: WriteImage, list_name: str) -> None:
    for name in "ab":
        write_image(tmp_path / "obj_train_data" / f"{name}.png")
        (tmp_path / "obj_train_data" / f"{name}.txt").write_text(LINE)
    names = tmp_path / list_name.replace("train.txt", "obj.names")
    names.parent.mkdir(exist_ok=True)
    names.write_text("cat\ndog\n")
    listed = "data/obj_train_data/a.png\n/home/me/darknet/data/obj_train_data/b.png\nx/c.png\n"
    (tmp_path / list_name).write_text(listed)
    names.with_name("obj.data").write_text(
        "# darknet\nclasses= 2\ntrain  = data/train.txt\nvalid = data/test.txt\n"
        "names = data/obj.names"
    )
    samples, lines = load(tmp_path)
    assert [boxes(sample) for sample in samples] == [[BOX], [BOX]]
    assert "valid is data/test.txt, which is not there" in lines
    assert "x/c.png" in lines
    names.with_name("obj.data").unlink()
    if list_name == "train.txt":
        assert len(load(tmp_path)[0]) == 2


def test_cvat_for_ultralytics(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "images" / "train" / "a.png")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text(LINE)
    (tmp_path / "train.txt").write_text("data/images/train/a.png\n")
    (tmp_path / "data.yaml").write_text("names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\n")
    samples, lines = load(tmp_path)
    assert boxes(samples[0]) == [BOX]
    assert "missing" not in lines


@pytest.mark.parametrize(
    "text",
    [
        "names: {'0': cat, '1': dog}",
        "names: {0.0: cat, 1.0: dog}",
        "names: {cat: 0, dog: 1}",
        "names: names.txt",
        "nc: 2",
    ],
)
def test_names_of_classes(tmp_path: Path, write_image: WriteImage, text: str) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / split / "images" / "a.png")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "a.txt").write_text(LINE.replace("1 ", "1.0 ", 1))
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    (tmp_path / "data.yaml").write_text(
        f"{text}\ntrain: my project/train/images\nval: ..\\valid\\images\n"
    )
    splits = load_detection(DataConfig(path=tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert (len(splits.train), len(splits.val)) == (1, 1)


def test_labels_and_images_without_each_other_are_named(
    tmp_path: Path, write_image: WriteImage
) -> None:
    for name in "abc":
        write_image(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels").mkdir()
    for name, text in (("a", LINE), ("b", ""), ("z", LINE), ("classes", "cat\ndog")):
        (tmp_path / "labels" / f"{name}.txt").write_text(text)
    (tmp_path / "images" / "d.dng").write_bytes(b"raw")
    samples, lines = load(tmp_path)
    assert [(sample.path.name, len(sample)) for sample in samples] == [("a.png", 1), ("b.png", 0)]
    assert "c.png: image without a label file: left out" in lines
    assert "z.txt: label file without an image" in lines
    assert "passed over: 1 raw files of cameras (d.dng)" in lines


def test_poses_without_a_yaml_and_oriented_boxes(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    label = tmp_path / "labels" / "a.txt"
    label.write_text(f"{LINE.strip()} 0.1 0.1 2 0 0 0 0.5 0.4 1 0.5 0.4 2\n")
    samples, lines = load(tmp_path)
    assert boxes(samples[0]) == [BOX]
    assert lines.count("key points are not") == 1
    label.write_text("0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2\n")
    samples, lines = load(tmp_path)
    assert boxes(samples[0]) == [[15, 10, 45, 30], [6, 4, 18, 8]]
    assert samples[0].segments is None
    assert "oriented boxes" in lines


def test_lines_of_another_pose_are_told(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1 .2 .2\n")
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: images\nkpt_shape: [4, 2]\n")
    with pytest.raises(DataError, match=r"has 6 values after the class; kpt_shape asks for 12"):
        load(tmp_path)
