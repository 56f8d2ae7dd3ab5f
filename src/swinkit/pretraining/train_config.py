"""The settings of pretraining, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from swinkit.backbones.config import SwinConfig
from swinkit.data.augmentation import CropAndFlipConfig
from swinkit.errors import ConfigError
from swinkit.pretraining.config import (
    PUBLISHED_NEIGHBORHOOD,
    PUBLISHED_RATIO,
    check_neighborhood,
    check_ratio,
)
from swinkit.settings import at_least
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """What is hidden of an image, and what the network is to make of it."""

    patch: Annotated[int | None, arg(aliases=("--mask-patch",))] = None
    """Side in pixels of the squares that are hidden; None takes 32 as the paper, or what smaller
    images have room for."""
    ratio: Annotated[float, arg(aliases=("--mask-ratio",))] = PUBLISHED_RATIO
    """Part of the squares that is hidden."""
    normalize_targets: bool | None = None
    """Reconstruct pixels normalized by their surroundings; None does so for V2, as its authors."""
    neighborhood: int = PUBLISHED_NEIGHBORHOOD
    """Side in pixels of these surroundings, an odd number."""

    def __post_init__(self) -> None:
        at_least("masking", self, patch=1)
        check_ratio(self.ratio)
        check_neighborhood(self.neighborhood)


@dataclass(frozen=True, kw_only=True)
class PretrainingAugmentation(CropAndFlipConfig):
    """The light variation of the paper, section 4.1; see `CropAndFlipConfig`."""

    crop_scale: tuple[float, float] = (0.67, 1.0)


@dataclass(frozen=True, kw_only=True)
class PretrainingTrainConfig(TrainConfig):
    """Pretrain a backbone on images without labels."""

    task: Literal["pretraining"] = "pretraining"
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    """What is hidden."""
    augmentation: PretrainingAugmentation = field(default_factory=PretrainingAugmentation)
    """How training images are varied."""
    architecture: Annotated[SwinConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights != "none":
            raise ConfigError("class_weights means nothing without classes; leave it out")
