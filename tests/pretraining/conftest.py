"""A folder of nested pictures and a tiny run on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swinkit.backbones.config import SwinConfig
from swinkit.training.train import TrainResult, pretrain

TINY = SwinConfig(
    embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4, norm_stages=(1,), patch_size=4
)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 pictures of slopes, in folders of one and several, one of them in no folder."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(14):
        slope, level = random.normal(0, 3, (2, 3)), random.uniform(60, 190, 3)
        rows, columns = np.mgrid[:40, :44]
        pixels = level + rows[..., None] * slope[0] + columns[..., None] * slope[1]
        file = root / ("", "a", "a/b", "c")[index % 4] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)
    return root


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Callable[..., TrainResult]:
    """Pretrains a tiny backbone; arguments of `swinkit.pretrain` may be added."""

    def start(**more: Any) -> TrainResult:
        settings = {"architecture": TINY, "runtime.logger": ("csv",), **more.pop("settings", {})}
        usual = {"image_size": 32, "workers": 0, "batch_size": 4, "epochs": 2, "lr": 3e-3}
        usual |= {"out": tmp_path / "run", "device": "cpu"}
        return pretrain(more.pop("data", photos), settings=settings, **{**usual, **more})

    return start
