"""The settings of a classifier's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.backbones.config import SwinConfig
from swinkit.data.augmentation import CropAndFlipConfig
from swinkit.errors import ConfigError
from swinkit.settings import probabilities
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(CropAndFlipConfig):
    """How training images are augmented; the defaults are the recipe of the paper, section 4.1.

    Attributes:
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
        super().__post_init__()
        probabilities(self, "color_jitter", "erasing_probability", "rand_augment_probability")
        probabilities(self, "mix_probability", "mix_switch_probability")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 1)")
        if min(self.mixup_alpha, self.cutmix_alpha, self.rand_augment_std) < 0:
            raise ConfigError("mixup_alpha, cutmix_alpha and rand_augment_std must be >= 0")
        if self.rand_augment_ops < 0 or not 0 <= self.rand_augment_magnitude <= 10:
            raise ConfigError("rand_augment_ops must be >= 0, rand_augment_magnitude in 0..10")

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


@dataclass(frozen=True, kw_only=True)
class ClassificationTrainConfig(TrainConfig):
    """Train a classifier."""

    task: Literal["classification"] = "classification"
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How training images are varied."""
    architecture: Annotated[SwinConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""
