"""From an image as read to a classifier's input. H W map, C channels; NumPy and Pillow only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image

from swinkit.errors import ConfigError, ImageError
from swinkit.images.reading import as_pixels, read_image, to_8bit
from swinkit.settings import SizeHW, from_plain, to_plain

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Own = TypeVar("Own", bound="Normalization")
ResizeMode = Literal["crop", "squash", "pad"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SPREAD = 2.0  # standard deviations on each side of the mean that a picture of bands shows
DIM = 0.25  # of the range: pictures that end below it would look black
SQUASH_FROM = 384  # pixels; the official evaluation crops nothing at this size and above


def check_shown_bands(shown: Sequence[int], channels: int | None = None) -> None:
    """Raises ConfigError unless it names one or three bands, counted from 1."""
    most = channels or max(shown, default=0)
    if len(shown) not in (1, 3) or not all(1 <= band <= most for band in shown):
        of = "" if channels is None else f" of {channels}"
        raise ConfigError(
            f"shown_bands is {' '.join(map(str, shown))}; name one band or three{of}, counted "
            "from 1"
        )


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Mean and standard deviation that every channel of an input is normalized by.

    Attributes:
        mean: per channel, of values in 0..1; its length is the number of channels.
        std: per channel.
        shown_bands: numbers, from 1 on, of the one or three bands that pictures are drawn from;
            None: the first three, or of two the first.

    Raises:
        ConfigError: lists of different lengths, or values that are no such numbers.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    shown_bands: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if not self.mean or len(self.mean) != len(self.std):
            raise ConfigError(
                f"mean has {len(self.mean)} values and std {len(self.std)}; "
                "give one of each per channel"
            )
        if not np.isfinite(self.mean + self.std).all() or min(self.std) <= 0:
            raise ConfigError(f"mean {self.mean} and std {self.std} must be finite, std above 0")
        if self.shown_bands is not None:
            object.__setattr__(self, "shown_bands", tuple(int(band) for band in self.shown_bands))
            check_shown_bands(self.shown_bands, self.channels)

    @property
    def channels(self) -> int:
        """Channels of the input that this makes."""
        return len(self.mean)

    @property
    def dim(self) -> bool:
        """Whether images use few of their type's bits, as those of 12 bits in 16 do."""
        return max(m + SPREAD * s for m, s in zip(self.mean, self.std, strict=True)) < DIM

    @property
    def has_colors(self) -> bool:
        """Whether images are pictures: gray or RGB, in the usual range."""
        return self.channels in (1, 3) and not self.dim

    def restore(self, values: np.ndarray) -> np.ndarray:
        """(C, H, W) normalized values back as a uint8 image to be shown: (H, W, C) of gray and
        RGB, (H, W, 3) of other bands; see `picture`."""
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        std = np.asarray(self.std, np.float32)[:, None, None]
        pixels = np.clip(np.asarray(values, np.float32) * std + mean, 0, 1).transpose(1, 2, 0)
        return to_8bit(pixels) if self.has_colors else self.picture(pixels)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """An image as read, (H, W, C) uint8 or 0..1 float, as (H, W, 3) uint8 to be shown.

        Of other than gray and RGB, and of images that use few of their bits, `shown_bands` are
        stretched: two standard deviations around the mean become black to white.
        """
        if self.has_colors and self.shown_bands is None:
            shown = to_8bit(pixels)
        else:
            bands = np.array(self.shown_bands or ((1, 2, 3) if self.channels > 2 else (1,))) - 1
            values = pixels[:, :, bands].astype(np.float32)
            if pixels.dtype == np.uint8:
                values /= np.float32(255)
            mean, std = (np.asarray(part, np.float32)[bands] for part in (self.mean, self.std))
            low, high = np.maximum(mean - SPREAD * std, 0), np.minimum(mean + SPREAD * std, 1)
            shown = to_8bit(np.clip((values - low) / (high - low), 0, 1))
        return shown if shown.shape[2] == 3 else shown.repeat(3, axis=2)

    def read_picture(self, path: str | Path) -> np.ndarray | None:
        """`picture` of a file; None where it cannot be read."""
        try:
            return self.picture(read_image(path, channels=self.channels))
        except ImageError:
            return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        values: dict[str, Any] = to_plain(self)
        if self.shown_bands is None:  # as files without a choice have always been
            values.pop("shown_bands")
        return values

    @classmethod
    def from_dict(cls: type[Own], values: Mapping[str, Any]) -> Own:
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ConfigError: a key that this version does not know.
        """
        return from_plain(cls, {key: value for key, value in values.items() if key != "kind"})


@dataclass(frozen=True, kw_only=True)
class Preprocessing(Normalization):
    """How an image becomes the network's input; it travels with the weights.

    For RGB uint8 it equals, bit for bit, torchvision's Resize, CenterCrop, ToTensor and Normalize
    on Pillow images, which is how the published models were evaluated.

    Attributes:
        size_hw: (height, width) of the input in pixels; one integer means a square.
        resize: "crop" scales so that the image covers `size_hw / crop_fraction` and cuts the
            center; "squash" scales each axis to `size_hw`, changing the aspect; "pad" scales the
            whole image into `size_hw` and fills the rest with the mean color.
        crop_fraction: part of the scaled image's side that the crop keeps; used by "crop".
        interpolation: Pillow's filter; all but "nearest" smooth when they shrink.
        mean, std: see `Normalization`.

    Raises:
        ConfigError: values outside their range, or `mean` and `std` of different lengths.

    Example:
        >>> import numpy as np, swinkit
        >>> preprocessing = swinkit.Preprocessing(size_hw=224, crop_fraction=0.9)
        >>> preprocessing(np.zeros((300, 400, 3), np.uint8)).shape
        (3, 224, 224)
    """

    size_hw: SizeHW = (224, 224)
    resize: ResizeMode = "crop"
    crop_fraction: float = 0.875
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_hw", _pair(self.size_hw))
        super().__post_init__()
        if self.resize not in ("crop", "squash", "pad"):
            raise ConfigError(f"resize is {self.resize!r}; choose crop, squash or pad")
        if self.interpolation not in FILTERS:
            raise ConfigError(
                f"interpolation is {self.interpolation!r}; choose {', '.join(FILTERS)}"
            )
        if not 0 < self.crop_fraction <= 1:
            raise ConfigError(f"crop_fraction is {self.crop_fraction}; it must lie in (0, 1]")

    @classmethod
    def for_size(
        cls, size_hw: int | SizeHW, *, channels: int = 3, crop: bool | None = None
    ) -> "Preprocessing":
        """The published evaluation at a size: 87.5 % center crop, from 384 pixels on no crop.

        Args:
            size_hw: side, or (height, width), in pixels.
            channels: three get ImageNet's mean and standard deviation; any other number gets the
                average over its three channels for every band.
            crop: overrides the rule above (the official files for V2 at 256 switch it off).
        """
        size = _pair(size_hw)
        cropped = min(size) < SQUASH_FROM if crop is None else crop
        mean: tuple[float, ...] = IMAGENET_MEAN
        std: tuple[float, ...] = IMAGENET_STD
        if channels != 3:
            mean = (round(sum(IMAGENET_MEAN) / 3, 3),) * channels
            std = (round(sum(IMAGENET_STD) / 3, 3),) * channels
        return cls(size_hw=size, resize="crop" if cropped else "squash", mean=mean, std=std)

    def for_channels(self, channels: int) -> "Preprocessing":
        """The same, or for images of other bands that of their size and number."""
        if channels == self.channels:
            return self
        return Preprocessing.for_size(self.size_hw, channels=channels)

    def of_size(self, side: int | Literal["original"]) -> "Preprocessing":
        """The same with another input size.

        Raises:
            ConfigError: "original", since every image has one size here.
        """
        if side == "original":
            raise ConfigError(
                "it needs images of one size; give --image-size pixels, or leave it out"
            )
        return replace(self, size_hw=(side, side))

    def __call__(self, image: np.ndarray, *, name: str | None = None) -> np.ndarray:
        """Resize, crop or pad, scale to 0..1 and normalize one image.

        Args:
            image: (H, W) or (H, W, C), uint8, uint16, bool, or floats in 0..1, as `read_image`
                gives it. Gray, RGB and RGBA are converted where the model takes 1 or 3 channels.
            name: how an error names the image.

        Returns:
            (channels, *size_hw) float32, contiguous.

        Raises:
            ImageError: smaller than a patch, NaN, out of range, or of other channels.
        """
        name = name or f"array of shape {image.shape}"
        pixels = self._fit(as_pixels(image, self.channels, name))
        values = self.normalize(pixels.transpose(2, 0, 1))
        return self._padded(values) if self.resize == "pad" else values

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """(C, H, W) uint8, or floats in 0..1, as new normalized float32, contiguous."""
        values = pixels.astype(np.float32, order="C")
        if pixels.dtype == np.uint8:
            values /= np.float32(255)
        values -= np.asarray(self.mean, np.float32)[:, None, None]
        values /= np.asarray(self.std, np.float32)[:, None, None]
        return values

    def scaled_hw(self, original_hw: SizeHW) -> SizeHW:
        """(height, width) that an image is scaled to, before it is cut or padded."""
        if self.resize == "squash":
            return self.size_hw
        if self.resize == "pad":
            return _scaled(original_hw, self.size_hw, min)
        covered_hw = (
            int(self.size_hw[0] / self.crop_fraction),
            int(self.size_hw[1] / self.crop_fraction),
        )
        return _scaled(original_hw, covered_hw, max)

    def _fit(self, pixels: np.ndarray) -> np.ndarray:
        target_hw = self.size_hw
        scaled_hw = self.scaled_hw((pixels.shape[0], pixels.shape[1]))
        pixels = resize_pixels(pixels, scaled_hw, self.interpolation)
        if self.resize != "crop":
            return pixels
        top = round((pixels.shape[0] - target_hw[0]) / 2)
        left = round((pixels.shape[1] - target_hw[1]) / 2)
        return pixels[top : top + target_hw[0], left : left + target_hw[1]]

    def _padded(self, values: np.ndarray) -> np.ndarray:
        # After normalization the mean color is zero, exactly, for any type and number of bands.
        canvas = np.zeros((self.channels, *self.size_hw), np.float32)
        height, width = values.shape[1:]
        top, left = (self.size_hw[0] - height) // 2, (self.size_hw[1] - width) // 2
        canvas[:, top : top + height, left : left + width] = values
        return canvas


def resize_pixels(pixels: np.ndarray, size_hw: SizeHW, interpolation: Interpolation) -> np.ndarray:
    """Resample (H, W, C), keeping its type: uint8 as Pillow does RGB, floats clipped to 0..1."""
    if pixels.shape[:2] == size_hw:
        return pixels
    size_wh = (size_hw[1], size_hw[0])
    resample = FILTERS[interpolation]
    if pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize(size_wh, resample))
    bands = [
        np.asarray(Image.fromarray(np.ascontiguousarray(band)).resize(size_wh, resample))
        for band in np.moveaxis(pixels, 2, 0)
    ]
    resized = np.stack(bands, axis=2)
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 1)


def _scaled(
    present_hw: SizeHW,
    target_hw: SizeHW,
    deciding: Callable[[SizeHW], int],
) -> SizeHW:
    """Size with the aspect of `present_hw` that covers (max) or fits into (min) `target_hw`.

    The side that decides becomes exactly its target, the other is rounded down, as torchvision
    does for a square.
    """
    ratios = (target_hw[0] * present_hw[1], target_hw[1] * present_hw[0])
    if ratios[0] == deciding(ratios):
        return target_hw[0], max(1, int(target_hw[0] * present_hw[1] / present_hw[0]))
    return max(1, int(target_hw[1] * present_hw[0] / present_hw[1])), target_hw[1]


def _pair(size: Any) -> SizeHW:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise ConfigError(f"size_hw is {size!r}; give one integer or (height, width), in pixels")
    return pair
