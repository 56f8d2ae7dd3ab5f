"""The architecture of a masked image model as plain data. Importing this needs no PyTorch."""

from dataclasses import dataclass

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.settings import PlainConfig

PUBLISHED_PATCH, PUBLISHED_RATIO = 32, 0.6  # of the paper's masks, section 4.1
PUBLISHED_NEIGHBORHOOD = 47  # of the normalized targets of Swin V2's pretraining


@dataclass(frozen=True, kw_only=True)
class MaskedImageConfig(PlainConfig):
    """A backbone that sees a part of each image, and a decoder that fills in the rest.

    Attributes:
        backbone: its architecture; the last stage should be normed.
        out_channels: channels of the reconstruction, as many as the images have.
        mask_patch: side in pixels of the squares that are hidden.
        mask_ratio: part of the squares that is hidden.
        neighborhood: side in pixels of the square by whose mean and variance each pixel of the
            target is normalized; an odd number. None reconstructs the pixels themselves.
        num_classes: none; images need no labels here.

    Raises:
        ConfigError: a value outside its range.
    """

    backbone: SwinConfig
    out_channels: int = 3
    mask_patch: int = PUBLISHED_PATCH
    mask_ratio: float = PUBLISHED_RATIO
    neighborhood: int | None = None
    num_classes: int = 0

    def __post_init__(self) -> None:
        if self.num_classes:
            raise ConfigError("a masked image model has no classes; leave num_classes out")
        if self.out_channels < 1:
            raise ConfigError(f"out_channels is {self.out_channels}; it must be >= 1")
        if self.mask_patch < 1 or self.mask_patch % self.backbone.patch_size:
            raise ConfigError(
                f"mask_patch is {self.mask_patch}; it must be a multiple of the model's patches of "
                f"{self.backbone.patch_size} pixels"
            )
        check_ratio(self.mask_ratio)
        check_neighborhood(self.neighborhood)


def check_ratio(ratio: float) -> None:
    """Refuse a part of the image that is nothing or all of it. Raises ConfigError."""
    if not 0 < ratio < 1:
        raise ConfigError(
            f"the mask ratio is {ratio}; it must lie between 0 and 1, so that something is hidden "
            "and something is seen"
        )


def check_neighborhood(side: int | None) -> None:
    """Refuse a square without a pixel in its middle. Raises ConfigError."""
    if side is not None and (side < 3 or side % 2 == 0):
        raise ConfigError(f"neighborhood is {side}; give an odd number >= 3, such as 47")
