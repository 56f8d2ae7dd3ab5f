"""Images with masks; makes the peers' builders beside these tests importable."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints"))
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of different sizes, with void; a class is a color."""
    root = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(0)
    (root / "classes.txt").write_text("sky\nroad\ntree")
    for split, count in (("train", 2), ("val", 2), ("test", 4)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            shape = (40 + 8 * number, 64)
            mask = np.kron(random.integers(0, 3, (10, 8)), np.ones((8, 8), int))[: shape[0]]
            pixels = np.eye(3, dtype=np.uint8)[mask] * 150 + random.integers(0, 80, (*shape, 3))
            mask = np.where(random.random(shape) < 0.02, 255, mask)
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / split / f"{number}.png")
            Image.fromarray(mask.astype(np.uint8)).save(root / "masks" / split / f"{number}.png")
    return root
