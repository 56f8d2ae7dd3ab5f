"""The settings of a detector's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.data.augmentation import FlipAndColorConfig
from swinkit.detection.config import RCNNConfig, RetinaNetConfig
from swinkit.errors import ConfigError
from swinkit.settings import at_least, probabilities
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class DetectionAugmentation(FlipAndColorConfig):
    """The defaults are the recipe of the paper, section 4.2, which is that of DETR.

    Attributes:
        short_sides: the short side of an image becomes one of these, in pixels.
        long_side: unless the long side would pass this; None for no limit.
        crop_probability: chance that a random crop comes before the resize.
        crop_short_sides: the short side becomes one of these before the crop; there is no limit
            for the long side then.
        crop_sides: range of the crop's height and of its width, in pixels of that size.
        min_visible: an object of which a crop or a pasted object leaves less than this part of its
            area is ignored: neither found nor missed.
        quarter_turn: probability of a turn by 90 degrees; for microscopes and satellites, with
            both flips.
        copy_paste_probability: chance that objects of a second image are pasted in, as in Simple
            Copy-Paste; by their masks, or by their boxes where there are none.
        copy_paste_objects: greatest number of objects pasted.

    Raises:
        ConfigError: a value outside its range.
    """

    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    long_side: int | None = 1333
    crop_probability: float = 0.5
    crop_short_sides: tuple[int, ...] = (400, 500, 600)
    crop_sides: tuple[int, int] = (384, 600)
    min_visible: float = 0.05
    quarter_turn: float = 0.0
    copy_paste_probability: float = 0.0
    copy_paste_objects: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("short_sides", "crop_short_sides", "crop_sides"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        probabilities(self, "crop_probability", "min_visible", "quarter_turn")
        probabilities(self, "copy_paste_probability")
        sides = (*self.short_sides, *self.crop_short_sides, *self.crop_sides)
        if not self.short_sides or not self.crop_short_sides or min(sides) < 1:
            raise ConfigError(
                "short_sides and crop_short_sides need at least one side of 1 or more"
            )
        if len(self.crop_sides) != 2 or self.crop_sides[0] > self.crop_sides[1]:
            raise ConfigError(f"crop_sides is {self.crop_sides}; give smallest and greatest side")
        if self.long_side is not None and self.long_side < max(self.short_sides):
            raise ConfigError(
                f"long_side is {self.long_side}, less than the greatest of short_sides, "
                f"{max(self.short_sides)}; make it larger"
            )
        at_least("augmentation", self, copy_paste_objects=1)

    @classmethod
    def off(cls, *, short_side: int, long_side: int | None) -> "DetectionAugmentation":
        """No augmentation: images are resized as for evaluation."""
        return cls(
            short_sides=(short_side,),
            long_side=long_side,
            crop_probability=0.0,
            horizontal_flip=0.0,
        )

    @classmethod
    def around(cls, short_side: int, *, spread: float = 0.25) -> "DetectionAugmentation":
        """For images smaller than the paper's: nine short sides around `short_side`, crops in
        proportion, and the photometric augmentation that small data sets need.

        Args:
            short_side: that the model is evaluated with, in pixels.
            spread: part by which the sides differ from it at most.
        """
        steps = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
        sides = sorted({round(short_side * (1 + spread * step)) for step in steps})
        return cls(
            short_sides=tuple(sides),
            long_side=2 * max(sides),
            crop_short_sides=tuple(round(short_side * part) for part in (1.0, 1.25, 1.5)),
            crop_sides=(round(0.6 * short_side), short_side),
            photometric_probability=0.5,
            photometric_strength=0.5,
        )


@dataclass(frozen=True, kw_only=True)
class DetectionTrainConfig(TrainConfig):
    """Train a detector of boxes, or of boxes and masks."""

    task: Literal["detection"] = "detection"
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    """How training images are varied, with their boxes and masks."""
    architecture: Annotated[RetinaNetConfig | RCNNConfig | None, tyro.conf.Suppress] = None
    """Takes the place of `model.name` for a network that has none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights != "none":
            raise ConfigError(
                "class_weights is for classifiers and segmenters: a detector weighs its objects "
                "itself; leave it out"
            )
