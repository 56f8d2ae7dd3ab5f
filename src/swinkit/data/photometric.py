"""Augmentation of pixels that every dense task shares. H W map, C channels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as color

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.125, 0.5, 0.5, 0.05  # ranges at strength 1
EACH = 0.5  # chance of each of them in an image that is augmented


def jitter_colors(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random brightness, contrast, saturation and hue; the last two for three channels only.

    The order is drawn too, as contrast before saturation differs from contrast after it.
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


def _brighter(values: Any, factor: float) -> Any:
    """As torchvision's, for any number of channels."""
    if isinstance(values, Image.Image) or values.shape[0] in (1, 3):
        return color.adjust_brightness(values, factor)
    most = 255 if values.dtype == torch.uint8 else 1
    return (values.float() * factor).clamp(0, most).to(values.dtype)
