"""Several views of an image, whose results are merged, as plain data."""

from dataclasses import dataclass, replace

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.settings import SizeHW


@dataclass(frozen=True, kw_only=True)
class TestAugmentation:
    """The views of an image whose results are merged: in several sizes, and mirrored.

    Attributes:
        short_sides: a view at each of these short sides, in pixels.
        flip: each view mirrored left to right as well.
        long_side: greatest long side of a view of `short_sides`; None: the model's, grown with the
            short side.
        scales: in place of `short_sides`, a view in each of these sizes, as factors of the model's
            own. Neither: the model's own size only.

    Raises:
        ConfigError: sizes below 1 pixel or factors of 0, both kinds of sizes, or a single view.

    Example:
        >>> import numpy as np
        >>> from swinkit import TestAugmentation, create_segmenter
        >>> model = create_segmenter("unet_swin_nano", class_names=("sky", "road"))
        >>> views = TestAugmentation(scales=(0.75, 1.0, 1.25), flip=True)
        >>> found = model.predict(np.zeros((48, 64, 3), np.uint8), image_size=48, views=views)
        >>> found[0].size_hw
        (48, 64)
    """

    __test__ = False

    short_sides: tuple[int, ...] = ()
    flip: bool = True
    long_side: int | None = None
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "short_sides", tuple(int(side) for side in self.short_sides))
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        long_sides = () if self.long_side is None else (self.long_side,)
        if any(side < 1 for side in (*self.short_sides, *long_sides)):
            raise ConfigError(
                f"short_sides is {self.short_sides} and long_side {self.long_side}; give pixels, "
                "at least 1 each"
            )
        if any(scale <= 0 for scale in self.scales):
            raise ConfigError(f"scales is {self.scales}; give factors above 0, such as 0.75 1 1.25")
        if self.scales and (self.short_sides or self.long_side is not None):
            raise ConfigError("scales and short_sides (or long_side) are two ways; choose one")
        if not self.short_sides and not self.flip and self.scales in ((), (1.0,)):
            raise ConfigError("test augmentation in one size needs flip; else leave it out")

    def sizes(self, fit: Fit, original_hw: SizeHW) -> list[SizeHW]:
        """(height, width) of the views of an image that the model itself prepares with `fit`."""
        if self.short_sides:
            return [self._at(fit, side).size_for(original_hw) for side in self.short_sides]
        return [fit.size_for(original_hw, scale) for scale in self.scales or (1.0,)]

    def _at(self, fit: Fit, side: int) -> Fit:
        long_side = self.long_side
        if long_side is None and fit.long_side is not None and fit.short_side is not None:
            long_side = max(fit.long_side, round(fit.long_side * side / fit.short_side))
        return replace(fit, short_side=side, long_side=long_side)
