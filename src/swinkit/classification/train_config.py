"""The settings of a classifier's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.settings import one_of, probabilities
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How training images are augmented; the defaults are the recipe of the paper, section 4.1.

    Attributes:
        crop_scale: range of the part of the image's area that a random crop keeps.
        crop_ratio: range of the crop's width over its height.
        interpolation: filter that resizes the crop.
        horizontal_flip: probability of mirroring left and right.
        vertical_flip: probability of mirroring top and bottom.
        rand_augment_ops: operations that RandAugment draws per image; 0 switches it off.
        rand_augment_probability: chance that a drawn operation is applied.
        rand_augment_magnitude: their strength, 0 to 10.
        rand_augment_std: spread of the strength from image to image.
        color_jitter: strength of random brightness, contrast and saturation; 0 switches it off.
            The paper's code names 0.4, which has no effect there beside RandAugment.
        erasing_probability: chance that a rectangle is replaced by noise.
        mixup_alpha: mixup's Beta(alpha, alpha); 0 switches it off.
        cutmix_alpha: CutMix's Beta(alpha, alpha); 0 switches it off.
        mix_probability: chance that a batch is mixed at all.
        mix_switch_probability: chance of CutMix instead of mixup where both are on.
        label_smoothing: part of the target that is spread over all classes.

    Raises:
        ConfigError: a value outside its range.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    rand_augment_ops: int = 2
    rand_augment_probability: float = 0.5
    rand_augment_magnitude: float = 9.0
    rand_augment_std: float = 0.5
    color_jitter: float = 0.0
    erasing_probability: float = 0.25
    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0
    mix_probability: float = 1.0
    mix_switch_probability: float = 0.5
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "crop_scale", tuple(self.crop_scale))
        object.__setattr__(self, "crop_ratio", tuple(self.crop_ratio))
        one_of("interpolation", self.interpolation, ("bilinear", "bicubic"))
        flips = ("horizontal_flip", "vertical_flip", "color_jitter", "erasing_probability")
        mixing = ("rand_augment_probability", "mix_probability", "mix_switch_probability")
        probabilities(self, *flips, *mixing)
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 1)")
        if min(self.mixup_alpha, self.cutmix_alpha, self.rand_augment_std) < 0:
            raise ConfigError("mixup_alpha, cutmix_alpha and rand_augment_std must be >= 0")
        if self.rand_augment_ops < 0 or not 0 <= self.rand_augment_magnitude <= 10:
            raise ConfigError("rand_augment_ops must be >= 0, rand_augment_magnitude in 0..10")
        _ordered("crop_scale", self.crop_scale, 1.0)
        _ordered("crop_ratio", self.crop_ratio, float("inf"))

    @classmethod
    def off(cls) -> "AugmentationConfig":
        """No augmentation: images are prepared as for evaluation, targets are the plain labels."""
        return cls(
            crop_scale=(1.0, 1.0),
            crop_ratio=(1.0, 1.0),
            horizontal_flip=0.0,
            rand_augment_ops=0,
            erasing_probability=0.0,
            mixup_alpha=0.0,
            cutmix_alpha=0.0,
            label_smoothing=0.0,
        )


def _ordered(name: str, bounds: tuple[float, ...], most: float) -> None:
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= most:
        raise ConfigError(f"{name} is {bounds}; give two values, 0 < first <= second <= {most:g}")


@dataclass(frozen=True, kw_only=True)
class ClassificationTrainConfig(TrainConfig):
    """Train a classifier."""

    task: Literal["classification"] = "classification"
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How training images are varied."""
    architecture: Annotated[SwinConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""
