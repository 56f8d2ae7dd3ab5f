"""The settings of a segmenter's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.segmentation.config import SegmentationLossConfig, SegmenterConfig
from swinkit.segmentation.data.config import SegmentationAugmentation
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class SegmentationTrainConfig(TrainConfig):
    """Train a semantic segmenter."""

    task: Literal["segmentation"] = "segmentation"
    augmentation: SegmentationAugmentation = field(default_factory=SegmentationAugmentation)
    """How training images are varied, with their labels."""
    loss: SegmentationLossConfig = field(default_factory=SegmentationLossConfig)
    """What the segmenter learns from."""
    architecture: Annotated[SegmenterConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""
