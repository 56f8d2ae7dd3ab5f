"""Settings of augmentation that tasks share, random crops and flips to one size, and what follows.

Importing this needs no PyTorch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from swinkit.errors import ConfigError
from swinkit.settings import SizeHW, one_of, probabilities

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from torchvision.transforms import v2

    from swinkit.images.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class FlipConfig:
    """Mirroring by chance.

    Attributes:
        horizontal_flip: probability of mirroring left and right.
        vertical_flip: probability of mirroring top and bottom.

    Raises:
        ConfigError: a value outside its range.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0

    def __post_init__(self) -> None:
        probabilities(self, "horizontal_flip", "vertical_flip")


@dataclass(frozen=True, kw_only=True)
class FlipAndColorConfig(FlipConfig):
    """Mirroring, and colors that change, by chance.

    Attributes:
        photometric_probability: probability of random brightness, contrast, saturation and hue.
        photometric_strength: 1 is the usual range (brightness 12.5 %, contrast and saturation
            50 %, hue 18 degrees); less is milder.
    """

    photometric_probability: float = 0.0
    photometric_strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        probabilities(self, "photometric_probability")
        if self.photometric_strength < 0:
            raise ConfigError(f"photometric_strength is {self.photometric_strength}; use >= 0")


@dataclass(frozen=True, kw_only=True)
class CropAndFlipConfig(FlipConfig):
    """A random crop, scaled to the network's size and mirrored by chance.

    Attributes:
        crop_scale: range of the part of the image's area that a random crop keeps.
        crop_ratio: range of the crop's width over its height.
        interpolation: filter that resizes the crop.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("interpolation", self.interpolation, ("bilinear", "bicubic"))
        for name, most in (("crop_scale", 1.0), ("crop_ratio", float("inf"))):
            bounds = tuple(getattr(self, name))
            object.__setattr__(self, name, bounds)
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= most:
                raise ConfigError(
                    f"{name} is {bounds}; give two values, 0 < first <= second <= {most:g}"
                )


def crop_and_flip(config: CropAndFlipConfig, size_hw: SizeHW) -> "list[v2.Transform]":
    """Of Pillow images or tensors (C, H, W), drawing from PyTorch's global generator."""
    from torchvision.transforms import InterpolationMode, v2

    return [
        v2.RandomResizedCrop(
            size_hw,
            scale=config.crop_scale,
            ratio=config.crop_ratio,
            interpolation=InterpolationMode(config.interpolation),
            antialias=True,
        ),
        v2.RandomHorizontalFlip(config.horizontal_flip),
        v2.RandomVerticalFlip(config.vertical_flip),
    ]


def normalize(image: "Image.Image | Tensor", preprocessing: "Preprocessing") -> "Tensor":
    """What augmentation made, a Pillow image or a tensor (C, H, W), as the network's input.

    In NumPy: torchvision's calls take twice as long for a picture of 32 pixels.
    """
    import numpy as np
    import torch

    if isinstance(image, torch.Tensor):
        values = (image if image.dtype == torch.uint8 else image.clamp(0, 1)).numpy()
    else:
        values = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return torch.from_numpy(preprocessing.normalize(values))
