"""The settings of a segmenter's training, as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from swinkit.data.augmentation import FlipAndColorConfig
from swinkit.errors import ConfigError
from swinkit.segmentation.config import SegmentationLossConfig, SegmenterConfig
from swinkit.task.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class SegmentationAugmentation(FlipAndColorConfig):
    """The defaults are the recipe of the paper, section 4.3 (mmsegmentation's for ADE20K).

    Attributes:
        crop_hw: height and width of what the network trains on, in pixels. Smaller images are
            padded with the mean color, which counts as void.
        scale: range of the factor by which an image is enlarged before the crop, on top of the
            size that the model is evaluated with.
        dominance: a crop in which one class has more than this part of the labeled pixels is
            drawn again, up to ten times; 1 switches it off.

    Raises:
        ConfigError: a value outside its range.
    """

    crop_hw: tuple[int, int] = (512, 512)
    scale: tuple[float, float] = (0.5, 2.0)
    dominance: float = 0.75
    photometric_probability: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "crop_hw", tuple(self.crop_hw))
        object.__setattr__(self, "scale", tuple(self.scale))
        if len(self.crop_hw) != 2 or min(self.crop_hw) < 1:
            raise ConfigError(f"crop_hw is {self.crop_hw}; give height and width in pixels")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale is {self.scale}; give two values, 0 < first <= second")
        if not 0 < self.dominance <= 1:
            raise ConfigError(f"dominance is {self.dominance}; it must lie in (0, 1]")


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
