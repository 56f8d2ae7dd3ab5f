"""Pictures that EXIF turns, and annotations of the pixels as they are stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from swinkit.data.config import DataConfig
from swinkit.detection.data.rle import encode_masks
from swinkit.detection.data.splits import load_parts
from swinkit.images.reading import read_image

STORED_HW = (40, 60)
BOX = (5, 6, 55, 16)  # x y x y: it only fits the stored picture


def write(folder: Path, orientation: int, entry: dict[str, Any], size_hw: Any = STORED_HW) -> Path:
    """A picture that is white in the box, and its annotation."""
    pixels = np.zeros((*STORED_HW, 3), np.uint8)
    left, top, right, bottom = BOX
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / "a.png", exif=exif)
    image = {"id": 1, "file_name": "a.png", "height": size_hw[0], "width": size_hw[1]}
    values = {
        "images": [image],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **entry}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "train.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("form", ["polygon", "code"])
def test_box_and_outline_follow_the_pixels(tmp_path: Path, orientation: int, form: str) -> None:
    left, top, right, bottom = BOX
    polygon = [[left, top, right, top, right, bottom, left, bottom]]
    mask = np.zeros((1, *STORED_HW), np.uint8)
    mask[:, top:bottom, left:right] = 1
    code = encode_masks(mask)[0].to_coco(STORED_HW)
    entry = {"bbox": [left, top, right - left, bottom - top]}
    write(tmp_path, orientation, {**entry, "segmentation": polygon if form == "polygon" else code})
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    (sample,) = parts["train"]
    seen = read_image(sample.path)[:, :, 0] > 0
    assert sample.size_hw == seen.shape == STORED_HW[::-1]
    np.testing.assert_array_equal(sample.masks()[0] > 0, seen)
    rows, columns = np.nonzero(seen)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert sample.boxes_xyxy.tolist() == [box]
    assert [problem.kind for problem in loaded.problems] == ["picture turned by EXIF"]


def test_run_lengths_of_the_upright_picture_tell(tmp_path: Path) -> None:
    write(tmp_path, 6, {})
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))[:, :, 0] > 0
    code = encode_masks(upright[None])[0].to_coco(STORED_HW[::-1])
    write(tmp_path, 6, {"bbox": [10, 5, 10, 20], "segmentation": code})
    _, parts = load_parts(DataConfig(path=tmp_path))
    assert parts["train"][0].boxes_xyxy.tolist() == [[10, 5, 20, 25]]
    np.testing.assert_array_equal(parts["train"][0].masks()[0] > 0, upright)


@pytest.mark.parametrize(
    ("orientation", "size_hw", "kinds"),
    [
        (6, STORED_HW[::-1], []),  # the upright size is the one that counts
        (6, (41, 60), ["image of another size"]),
        (3, STORED_HW, []),
        (3, STORED_HW[::-1], ["image of another size"]),
        (1, STORED_HW[::-1], ["image of another size"]),
        (99, STORED_HW[::-1], ["image of another size"]),
    ],
)
def test_other_sizes(
    tmp_path: Path, orientation: int, size_hw: tuple[int, int], kinds: list[str]
) -> None:
    write(tmp_path / "a", orientation, {"bbox": [1, 2, 8, 9]}, size_hw)
    write(tmp_path / "b", 1, {"bbox": [1, 2, 8, 9]})
    values = json.loads((tmp_path / "a" / "train.json").read_text())
    other = {"id": 2, "file_name": "b/a.png", "height": 40, "width": 60}
    values["images"][0]["file_name"] = "a/a.png"
    values["images"].append(other)
    (tmp_path / "train.json").write_text(json.dumps(values))
    loaded, parts = load_parts(DataConfig(path=tmp_path / "train.json"))
    assert [p.kind for p in loaded.problems] == [*kinds, "image without objects"]
    assert len(parts["all"]) == 2 - len(kinds)
