"""From an image as read to a detector's or segmenter's input: aspect kept, size free.

Legend: H W map, C channels. NumPy and OpenCV only.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np

from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Normalization
from swinkit.images.reading import as_pixels
from swinkit.settings import SizeHW

MOST_BANDS = 128  # that OpenCV 5 resizes at once
KIND = "fit"  # names this way of preparing where a file holds either


@dataclass(frozen=True)
class FittedImage:
    """One prepared image, and what leads back to its own pixels.

    Attributes:
        values: (C, H, W) float32, normalized; zeros (the mean color) right and below the image.
        size_hw: the image's part of `values`, in pixels.
        scale_wh: input pixels per original pixel, across and down; they differ a little, because
            both sides are rounded to whole pixels.
        original_hw: the image as read.
    """

    values: np.ndarray
    size_hw: SizeHW
    scale_wh: tuple[float, float]
    original_hw: SizeHW


@dataclass(frozen=True, kw_only=True)
class Fit(Normalization):
    """How an image of any size becomes the input of a detector or segmenter.

    The image is scaled with its aspect until its short side is `short_side`, less where its long
    side would pass `long_side`. The numbers are those of OpenMMLab's pipelines (`Resize` with
    `keep_ratio`, normalize, then pad), which the published weights were trained with: pixels
    are resampled as OpenCV resamples them, without smoothing.

    Attributes:
        short_side: wanted short side in pixels; None: only `long_side` decides.
        long_side: greatest long side in pixels; None: no limit. Both None: no scaling.
        divisor: the padded height and width are multiples of it; 1 pads nothing.
        mean, std: see `Normalization`.

    Raises:
        ConfigError: values outside their range, or `mean` and `std` of different lengths.

    Example:
        >>> import numpy as np, swinkit
        >>> fit = swinkit.Fit(short_side=100, long_side=150)
        >>> fitted = fit(np.zeros((300, 400, 3), np.uint8))
        >>> fitted.size_hw, fitted.values.shape
        ((100, 133), (3, 128, 160))
    """

    short_side: int | None = 800
    long_side: int | None = 1333
    divisor: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        sides = [side for side in (self.short_side, self.long_side) if side is not None]
        if any(side < 1 for side in sides) or self.divisor < 1:
            raise ConfigError(
                f"short_side is {self.short_side}, long_side {self.long_side}, divisor "
                f"{self.divisor}; give pixels, at least 1 each"
            )

    def for_channels(self, channels: int) -> "Fit":
        """The same sizes for images of `channels` bands; other bands get the average color's."""
        if channels == self.channels:
            return self
        mean, std = sum(self.mean) / self.channels, sum(self.std) / self.channels
        return replace(self, mean=(mean,) * channels, std=(std,) * channels, shown_bands=None)

    def of_size(self, side: int | Literal["original"]) -> "Fit":
        """The same with another short side, the limit of the long side in proportion; "original"
        leaves images in their own size."""
        if side == "original":
            return replace(self, short_side=None, long_side=None)
        long_side = self.long_side
        if long_side is not None:
            long_side = round(long_side / (self.short_side or long_side) * side)
        return replace(self, short_side=side, long_side=long_side)

    def size_for(self, original_hw: SizeHW, ratio: float = 1.0) -> SizeHW:
        """(height, width) that an image of `original_hw` is scaled to, before padding.

        Args:
            ratio: a further scale on top, for an image in several sizes.
        """
        short, long = self.short_side, self.long_side
        if short is None and long is None:
            if ratio == 1:
                return original_hw
            # The references round this size first, then fit the image into it.
            short, long = sorted(scaled_size(original_hw, ratio))
        else:
            short = None if short is None else max(1, int(short * ratio))
            long = None if long is None else max(1, int(long * ratio))
        factors = [
            wanted / present
            for wanted, present in ((short, min(original_hw)), (long, max(original_hw)))
            if wanted is not None
        ]
        return scaled_size(original_hw, min(factors))

    def padded_size(self, size_hw: SizeHW) -> SizeHW:
        """(height, width) with the padding."""
        return _up(size_hw[0], self.divisor), _up(size_hw[1], self.divisor)

    def __call__(
        self, image: np.ndarray, *, name: str | None = None, size_hw: SizeHW | None = None
    ) -> FittedImage:
        """Scale, normalize and pad one image.

        Args:
            image: (H, W) or (H, W, C), uint8, uint16, bool, or floats in 0..1, as `read_image`
                gives it, in RGB order. Gray, RGB and RGBA are converted where 1 or 3 channels
                are wanted.
            name: how an error names the image.
            size_hw: in place of the size that `size_for` gives.

        Raises:
            ImageError: smaller than a patch, NaN, out of range, or of other channels.
        """
        name = name or f"array of shape {image.shape}"
        pixels = as_pixels(image, self.channels, name)
        original_hw = (pixels.shape[0], pixels.shape[1])
        size_hw = size_hw or self.size_for(original_hw)
        return self.normalize(resize_linear(pixels, size_hw), original_hw)

    def normalize(self, pixels: np.ndarray, original_hw: SizeHW) -> FittedImage:
        """Normalize and pad an (H, W, C) uint8 or 0..1 float image that has its size already."""
        size_hw = (pixels.shape[0], pixels.shape[1])
        values = np.zeros((self.channels, *self.padded_size(size_hw)), np.float32)
        inside = values[:, : size_hw[0], : size_hw[1]]
        inside[:] = pixels.transpose(2, 0, 1)
        if pixels.dtype != np.uint8:
            inside *= np.float32(255)
        # Statistics of 0..255, in this order, as the weights were trained: the last bit counts.
        inside -= (255 * np.asarray(self.mean)).astype(np.float32)[:, None, None]
        inside /= (255 * np.asarray(self.std)).astype(np.float32)[:, None, None]
        scale_wh = (size_hw[1] / original_hw[1], size_hw[0] / original_hw[0])
        return FittedImage(values, size_hw, scale_wh, original_hw)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `kind` tells them from those of `Preprocessing`."""
        return {"kind": KIND, **super().to_dict()}


def resize_linear(pixels: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    """Resample (H, W, C) uint8 or float32 to `size_hw` as OpenCV does, keeping the type.

    The published detectors and segmenters were trained and measured on images that OpenCV had
    scaled: two pixels per axis whatever the factor, no smoothing when shrinking, and for 8-bit
    pixels in fixed point. Training and prediction both come through here.
    """
    if pixels.shape[:2] == size_hw:
        return pixels
    parts = [
        cv2.resize(pixels[:, :, first : first + MOST_BANDS], size_hw[::-1]).reshape(*size_hw, -1)
        for first in range(0, pixels.shape[2], MOST_BANDS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def resize_nearest(maps: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    """Labels or masks (..., H, W), uint8 or uint16, at another size: each new pixel takes the old
    one under its center."""
    if maps.shape[-2:] == size_hw:
        return maps
    resized = np.empty((*maps.shape[:-2], *size_hw), maps.dtype)
    for place in np.ndindex(maps.shape[:-2]):
        resized[place] = cv2.resize(
            maps[place], size_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
    return resized


def scaled_size(size_hw: SizeHW, factor: float) -> SizeHW:
    """Both sides times `factor`, rounded half up, at least one pixel."""
    return max(1, int(size_hw[0] * factor + 0.5)), max(1, int(size_hw[1] * factor + 0.5))


def _up(length: int, divisor: int) -> int:
    return -(-length // divisor) * divisor
