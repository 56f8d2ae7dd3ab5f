"""Small image folders for the data tests."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeImages = Callable[..., list[Path]]


@pytest.fixture
def make_images() -> MakeImages:
    """Writes `count` different images into a folder and returns their paths."""

    def make(folder: Path, count: int, size: tuple[int, int] = (20, 16)) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"image {i}.png" for i in range(count)]
        generator = np.random.default_rng(zlib.crc32(folder.name.encode()))
        for path in paths:
            pixels = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return paths

    return make


@pytest.fixture
def flat_folder(tmp_path: Path, make_images: MakeImages) -> Path:
    """Two classes, 10 and 4 images, no splits; spaces and other scripts in the names."""
    root = tmp_path / "mes données"
    make_images(root / "chat noir", 10)
    make_images(root / "犬", 4)
    return root
