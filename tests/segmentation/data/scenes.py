"""Small data sets of images with masks, in the layouts that exist outside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("sky", "road", "car")
COLORS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))
SIZE_HW = (12, 16)


def picture(path: Path, size_hw: tuple[int, int] = SIZE_HW, seed: int = 0) -> Path:
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def blocks(
    size_hw: tuple[int, int] = SIZE_HW, values: Sequence[int] = (0, 1, 2, 255)
) -> np.ndarray:
    """(H, W) uint8: stripes of equal width, one per value."""
    columns = np.arange(size_hw[1]) * len(values) // size_hw[1]
    return np.tile(np.array(values, np.uint8)[columns], (size_hw[0], 1))


def index_mask(path: Path, labels: np.ndarray | None = None) -> Path:
    """Write labels as a gray PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks() if labels is None else labels).save(path)
    return path


def palette_mask(path: Path, labels: np.ndarray, palette: np.ndarray) -> Path:
    """Write labels as a PNG with a palette (256, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.frombytes("P", (labels.shape[1], labels.shape[0]), labels.tobytes())
    image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(path)
    return path


def color_mask(path: Path, labels: np.ndarray, colors: Sequence[Sequence[int]]) -> Path:
    """Write labels as RGB; labels beyond the colors are black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors
    Image.fromarray(table[labels]).save(path)
    return path


def flat(root: Path, count: int = 6) -> Path:
    """images/*.png, masks/*.png and classes.txt; three classes and void."""
    for number in range(count):
        picture(root / "images" / f"{number:02}.png", seed=number)
        index_mask(root / "masks" / f"{number:02}.png")
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return root
