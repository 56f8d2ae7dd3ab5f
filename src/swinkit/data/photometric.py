"""Augmentation of pixels that every dense task shares. H W map, C channels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as color

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.125, 0.5, 0.5, 0.05  # ranges at strength 1
BAND_GAIN = 0.1  # of one band beside the others, at strength 1
EACH = 0.5  # chance of each of them in an image that is augmented


def jitter_colors(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random brightness, contrast, and of three channels saturation and hue.

    Bands are no colors: with other than one or three, contrast is that of each band around its
    own mean, and in place of saturation and hue each band gets a gain of its own, as light,
    atmosphere and sensors give. The order is drawn too, as contrast before saturation differs
    from contrast after it.
    """
    channels = image.shape[2]
    steps: list[Callable[[Any, float], Any]] = [
        lambda values, share: _brighter(values, 1 + share * BRIGHTNESS),
    ]
    if channels in (1, 3):
        steps.append(lambda values, share: color.adjust_contrast(values, 1 + share * CONTRAST))
    if channels == 3:
        steps.append(lambda values, share: color.adjust_saturation(values, 1 + share * SATURATION))
        steps.append(lambda values, share: color.adjust_hue(values, share * HUE))
    if channels not in (1, 3):
        steps.append(lambda values, share: _spread(values, 1 + share * CONTRAST))
        gains = rng.uniform(-1, 1, (channels, 1, 1))
        steps.append(lambda values, share: _brighter(values, _gains(gains, share)))
    pixels = _as_picture(image)
    for place in rng.permutation(len(steps)).tolist():
        share = float(rng.uniform(-1, 1)) * min(strength, 2.0)
        if rng.random() < EACH:
            pixels = steps[place](pixels, share)
    if isinstance(pixels, Image.Image):
        return np.array(pixels).reshape(image.shape)
    return pixels.permute(1, 2, 0).numpy()


def _as_picture(image: np.ndarray) -> Image.Image | torch.Tensor:
    """Pillow's routines work on 8 bits and are ten times faster than those on tensors."""
    if image.dtype == np.uint8 and image.shape[2] in (1, 3):
        flat = image[:, :, 0] if image.shape[2] == 1 else image
        return Image.fromarray(np.ascontiguousarray(flat))
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))  # C H W


def _brighter(values: Any, factor: float | torch.Tensor) -> Any:
    """As torchvision's, for any number of channels; a factor (C, 1, 1) has one for each."""
    if isinstance(values, Image.Image) or values.shape[0] in (1, 3):
        return color.adjust_brightness(values, factor)
    return _clamped(values.float() * factor, values.dtype)


def _gains(gains: np.ndarray, share: float) -> torch.Tensor:
    return torch.from_numpy((1 + abs(share) * BAND_GAIN * gains).astype(np.float32))


def _spread(values: torch.Tensor, factor: float) -> torch.Tensor:
    """Contrast of each band around its mean."""
    mean = values.float().mean((1, 2), keepdim=True)
    return _clamped((values.float() - mean) * factor + mean, values.dtype)


def _clamped(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return values.clamp(0, 255 if dtype == torch.uint8 else 1).to(dtype)
