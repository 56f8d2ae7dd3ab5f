"""The settings of a classifier's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.backbones.config import SwinConfig
from swinkit.classification.data.config import AugmentationConfig
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class ClassificationTrainConfig(TrainConfig):
    """Train a classifier."""

    task: Literal["classification"] = "classification"
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How training images are varied."""
    architecture: Annotated[SwinConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""
