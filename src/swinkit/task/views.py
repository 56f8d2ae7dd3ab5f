"""Looking at an image several times, as plain data."""

from dataclasses import dataclass, replace

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit


@dataclass(frozen=True, kw_only=True)
class TestAugmentation:
    """The views of an image whose detections are merged.

    Attributes:
        short_sides: a view at each of these short sides, in pixels; none: the model's own only.
        flip: each view mirrored left to right as well.
        long_side: greatest long side of a view; None: the model's, grown with the short side.

    Raises:
        ConfigError: sides below 1, or nothing to look at twice.
    """

    __test__ = False

    short_sides: tuple[int, ...] = ()
    flip: bool = True
    long_side: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "short_sides", tuple(int(side) for side in self.short_sides))
        long_sides = () if self.long_side is None else (self.long_side,)
        if any(side < 1 for side in (*self.short_sides, *long_sides)):
            raise ConfigError(
                f"short_sides is {self.short_sides} and long_side {self.long_side}; give pixels, "
                "at least 1 each"
            )
        if not self.short_sides and not self.flip:
            raise ConfigError("test augmentation without short_sides needs flip; else leave it out")

    def fits(self, fit: Fit) -> list[Fit]:
        """How each scale prepares the image, where the model itself prepares it with `fit`."""
        if not self.short_sides:
            return [fit]
        return [
            replace(fit, short_side=side, long_side=self._long_side(fit, side))
            for side in self.short_sides
        ]

    def _long_side(self, fit: Fit, side: int) -> int | None:
        if self.long_side is not None or fit.long_side is None or fit.short_side is None:
            return self.long_side
        return max(fit.long_side, round(fit.long_side * side / fit.short_side))
