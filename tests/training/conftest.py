"""A tiny data set and a tiny run, for tests of training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo_shapes import write_shapes
from swinkit.backbones.config import SwinConfig
from swinkit.classification.train_config import AugmentationConfig, ClassificationTrainConfig
from swinkit.data.config import DataConfig
from swinkit.detection.config import RCNNConfig, RPNConfig
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, RoIConfig
from swinkit.detection.train_config import DetectionAugmentation, DetectionTrainConfig
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.train_config import SegmentationAugmentation, SegmentationTrainConfig
from swinkit.task.train_config import (
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    ScheduleConfig,
)

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
def tiny_config(images: Path, tmp_path: Path) -> Callable[..., ClassificationTrainConfig]:
    """Makes settings of a tiny run; sections of settings may be replaced."""

    def make(**sections: Any) -> ClassificationTrainConfig:
        runtime = {"out": tmp_path / "run", "batch_size": 8, "device": "cpu", "preview": False}
        return ClassificationTrainConfig(
            data=replace(DataConfig(path=images, workers=0), **sections.get("data", {})),
            augmentation=sections.get("augmentation", AugmentationConfig()),
            architecture=sections.get("architecture", TINY),
            model=replace(ModelConfig(image_size=32), **sections.get("model", {})),
            optimizer=replace(OptimizerConfig(lr=3e-3), **sections.get("optimizer", {})),
            schedule=replace(
                ScheduleConfig(epochs=3, warmup_epochs=1), **sections.get("schedule", {})
            ),
            runtime=RuntimeConfig(**{**runtime, **sections.get("runtime", {})}),
            class_weights=sections.get("class_weights", "none"),
        )

    return make


TINY_PYRAMID = replace(TINY, norm_stages=(0, 1), small_map_rule="keep")
TINY_DETECTOR = RCNNConfig(
    kind="mask_rcnn",
    backbone=TINY_PYRAMID,
    fpn_channels=8,
    rpn=RPNConfig(
        scale=4.0, train_pre_nms=50, train_proposals=20, test_pre_nms=50, test_proposals=10
    ),
    roi=RoIConfig(
        box=BoxHeadConfig(num_fcs=1, fc_channels=16),
        mask=MaskHeadConfig(num_convs=1, channels=8),
        num_samples=16,
    ),
)
TINY_SEGMENTER = SegmenterConfig(
    backbone=TINY_PYRAMID, channels=8, pool_scales=(1, 2), auxiliary_stage=1, auxiliary_channels=8
)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 training, 5 validation and 4 test images of 64x64 pixels with boxes and masks."""
    return write_shapes(
        tmp_path_factory.mktemp("shapes"), train=10, val=5, test=4, size_hw=(64, 64)
    )


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 training and 3 validation images of 48x40 pixels: sky above, road below, void between."""
    root = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for part in ("images", "masks"):
            (root / part / split).mkdir(parents=True)
        for index in range(count):
            horizon = int(random.integers(14, 28))
            labels = np.zeros((40, 48), np.uint8)
            labels[horizon:] = 1
            pixels = random.integers(0, 60, (40, 48, 3)) + 150 * (labels == 0)[..., None]
            labels[horizon : horizon + 2] = 255
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / split / f"{index}.png")
            Image.fromarray(labels).save(root / "masks" / split / f"{index}.png")
    (root / "classes.txt").write_text("sky\nroad\n")
    return root


@pytest.fixture
def shared_settings(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes what the tiny runs of a detector and a segmenter have in common."""

    def make(**sections: Any) -> dict[str, Any]:
        runtime = {"out": tmp_path / "run", "batch_size": 4, "device": "cpu", "preview": False}
        return {
            "data": DataConfig(path=sections["data"], workers=0),
            "model": replace(ModelConfig(image_size=64), **sections.get("model", {})),
            "optimizer": replace(OptimizerConfig(lr=3e-3), **sections.get("optimizer", {})),
            "schedule": replace(
                ScheduleConfig(epochs=2, warmup_epochs=1), **sections.get("schedule", {})
            ),
            "runtime": RuntimeConfig(**{**runtime, **sections.get("runtime", {})}),
            **sections.get("top", {}),
        }

    return make


@pytest.fixture
def detection(shared_settings, shapes) -> Callable[..., DetectionTrainConfig]:
    """Settings of a tiny Mask R-CNN on shapes."""

    def make(**sections: Any) -> DetectionTrainConfig:
        return DetectionTrainConfig(
            **shared_settings(**{"data": shapes, **sections}),
            architecture=sections.get("architecture", TINY_DETECTOR),
            augmentation=DetectionAugmentation(
                short_sides=(56, 64), long_side=96, crop_probability=0.0
            ),
        )

    return make


@pytest.fixture
def segmentation(shared_settings, scenes) -> Callable[..., SegmentationTrainConfig]:
    """Settings of a tiny UPerNet on scenes."""

    def make(**sections: Any) -> SegmentationTrainConfig:
        model = {"image_size": 40, **sections.pop("model", {})}
        return SegmentationTrainConfig(
            **shared_settings(**{"data": scenes, **sections}, model=model),
            architecture=sections.get("architecture", TINY_SEGMENTER),
            augmentation=SegmentationAugmentation(crop_hw=(32, 32)),
        )

    return make
