"""The settings of a detector's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.detection.config import RCNNConfig, RetinaNetConfig
from swinkit.detection.data.config import DetectionAugmentation
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class DetectionTrainConfig(TrainConfig):
    """Train a detector of boxes, or of boxes and masks."""

    task: Literal["detection"] = "detection"
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    """How training images are varied, with their boxes and masks."""
    architecture: Annotated[RetinaNetConfig | RCNNConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""
