"""Small detection data sets, written by the tests that read them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WriteImage = Callable[..., Path]
WriteCoco = Callable[..., Path]
Entry = dict[str, Any]

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def write_image() -> WriteImage:
    """Writes one image of noise; 40 x 60 (height x width) unless told."""

    def write(path: Path, size_hw: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_coco(tmp_path: Path, write_image: WriteImage) -> WriteCoco:
    """Writes annotations/{split}.json and its images; entries given replace the default ones."""

    def write(
        split: str = "train",
        *,
        images: list[Entry] | None = None,
        annotations: list[Entry] | None = None,
        categories: list[Entry] | None = None,
        files: tuple[str, ...] = ("a.png", "b.png"),
    ) -> Path:
        for number, name in enumerate(files):
            write_image(tmp_path / "images" / name, seed=number)
        values = {
            "images": images if images is not None else [image(1, "a.png"), image(2, "b.png")],
            "annotations": annotations if annotations is not None else [box(1, 1), box(2, 2)],
            "categories": categories or [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        file = tmp_path / "annotations" / f"{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(values))
        return file

    return write


@pytest.fixture
def coco_image() -> Callable[..., Entry]:
    """An entry of "images"."""
    return image


@pytest.fixture
def coco_box() -> Callable[..., Entry]:
    """An entry of "annotations"."""
    return box


def image(number: int, name: str, height: int = HEIGHT, width: int = WIDTH) -> Entry:
    return {"id": number, "file_name": name, "height": height, "width": width}


def box(number: int, image_id: int, category: int = 1, **changes: Any) -> Entry:
    entry = {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [10, 5, 20, 10],
        "area": 200,
        "iscrowd": 0,
    }
    return {**entry, **changes}
