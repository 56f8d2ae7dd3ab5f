"""The settings of pretraining, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.pretraining.config import (
    PUBLISHED_NEIGHBORHOOD,
    PUBLISHED_RATIO,
    check_neighborhood,
    check_ratio,
)
from swinkit.settings import at_least, one_of, probabilities
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
class PretrainingAugmentation:
    """The light variation of the paper, section 4.1.

    Attributes:
        crop_scale: range of the part of the image's area that a random crop keeps.
        crop_ratio: range of the crop's width over its height.
        interpolation: filter that resizes the crop.
        horizontal_flip: probability of mirroring left and right.
        vertical_flip: probability of mirroring top and bottom.

    Raises:
        ConfigError: a value outside its range.
    """

    crop_scale: tuple[float, float] = (0.67, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "crop_scale", tuple(self.crop_scale))
        object.__setattr__(self, "crop_ratio", tuple(self.crop_ratio))
        one_of("interpolation", self.interpolation, ("bilinear", "bicubic"))
        probabilities(self, "horizontal_flip", "vertical_flip")
        for name, most in (("crop_scale", 1.0), ("crop_ratio", float("inf"))):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= most:
                raise ConfigError(
                    f"{name} is {bounds}; give two values, 0 < first <= second <= {most:g}"
                )


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
