"""A tiny data set and a tiny run, for tests of training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swinkit.backbones.config import SwinConfig
from swinkit.data.config import AugmentationConfig, DataConfig
from swinkit.training.config import (
    ModelConfig,
    OptimiserConfig,
    RuntimeConfig,
    TrainConfig,
)
from swinkit.training.schedule_config import ScheduleConfig

CLASSES = ("bright", "dark", "striped")
TINY = SwinConfig(
    embed_dim=8,
    depths=(1, 1),
    num_heads=(1, 2),
    window_size=4,
    norm_stages=(1,),
    drop_path_rate=0.2,
)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training and 9 validation images of 32x32 pixels in three classes."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 120, (32, 32, 3)) + (120 if name == "bright" else 0)
                if name == "striped":
                    pixels[::4] = 255
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


@pytest.fixture
def tiny_config(images: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Makes settings of a tiny run; sections of settings may be replaced."""

    def make(**sections: Any) -> TrainConfig:
        runtime = {"out": tmp_path / "run", "batch_size": 8, "device": "cpu", "preview": False}
        return TrainConfig(
            data=replace(DataConfig(path=images, workers=0), **sections.get("data", {})),
            augmentation=sections.get("augmentation", AugmentationConfig()),
            model=replace(
                ModelConfig(architecture=TINY, image_size=32), **sections.get("model", {})
            ),
            optimiser=replace(OptimiserConfig(lr=3e-3), **sections.get("optimiser", {})),
            schedule=replace(
                ScheduleConfig(epochs=3, warmup_epochs=1), **sections.get("schedule", {})
            ),
            runtime=RuntimeConfig(**{**runtime, **sections.get("runtime", {})}),
            class_weights=sections.get("class_weights", "none"),
        )

    return make
