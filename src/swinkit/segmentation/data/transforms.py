"""The variation of training images; masks follow. H W map, C channels; NumPy and PyTorch."""

from dataclasses import replace

import numpy as np

from swinkit.data.photometric import vary_colors
from swinkit.images.fitting import Fit, resize_linear, resize_nearest
from swinkit.segmentation.data.config import SegmentationAugmentation
from swinkit.segmentation.data.masks import IGNORE

TRIES = 10  # crops drawn until no class dominates
Picture = tuple[np.ndarray, np.ndarray]  # image H W C, labels H W uint8
Window = tuple[int, int, int, int]  # left, top, right, bottom


class SegmentationTransform:
    """Random scale, crop, flips and colors (2103.14030, section 4.3).

    The scale and the crop are one cut and one resize of the original pixels.

    Args:
        config: what is varied, and how much.
        fit: the model's preprocessing, to whose size the scale is relative.
    """

    def __init__(self, config: SegmentationAugmentation, fit: Fit) -> None:
        self.config = config
        self.fit = fit

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Vary one image; the answer is at most `crop_hw` large."""
        config = self.config
        image, labels = picture
        original_hw = (labels.shape[0], labels.shape[1])
        scaled_hw = self.scaled_size(original_hw, float(rng.uniform(*config.scale)))
        crop_hw = (min(config.crop_hw[0], scaled_hw[0]), min(config.crop_hw[1], scaled_hw[1]))
        left, top, right, bottom = self._window(labels, scaled_hw, crop_hw, rng)
        image = resize_linear(image[top:bottom, left:right], crop_hw)
        labels = resize_nearest(labels[top:bottom, left:right], crop_hw)
        if rng.random() < config.horizontal_flip:
            image, labels = image[:, ::-1], labels[:, ::-1]
        if rng.random() < config.vertical_flip:
            image, labels = image[::-1], labels[::-1]
        if rng.random() < config.photometric_probability:
            image = vary_colors(image, rng, config.photometric_strength)
        return image, labels

    def scaled_size(self, original_hw: tuple[int, int], factor: float) -> tuple[int, int]:
        """The size of evaluation times a factor, aspect kept."""
        base_hw = self.fit.size_for(original_hw)
        height, width = (max(1, int(side * factor + 0.5)) for side in base_hw)
        return height, width

    def _window(
        self,
        labels: np.ndarray,
        scaled_hw: tuple[int, int],
        crop_hw: tuple[int, int],
        rng: np.random.Generator,
    ) -> Window:
        """A crop in pixels of the original in which no class dominates, if one is found."""
        sides = [
            max(1, round(crop * present / scaled))
            for crop, present, scaled in zip(crop_hw, labels.shape, scaled_hw, strict=True)
        ]
        window = (0, 0, 0, 0)
        for _ in range(TRIES):
            top = int(rng.integers(0, max(labels.shape[0] - sides[0], 0) + 1))
            left = int(rng.integers(0, max(labels.shape[1] - sides[1], 0) + 1))
            window = (left, top, left + sides[1], top + sides[0])
            if self.config.dominance >= 1 or not self._dominated(
                labels[top : top + sides[0], left : left + sides[1]]
            ):
                break
        return window

    def _dominated(self, labels: np.ndarray) -> bool:
        counts = np.bincount(labels.reshape(-1), minlength=IGNORE + 1)[:IGNORE]
        return int(counts.max()) >= self.config.dominance * int(counts.sum())


class EvalTransform:
    """Images as for prediction; masks are brought to the same size."""

    def __init__(self, fit: Fit) -> None:
        self.fit = replace(fit, divisor=1)

    def __call__(self, picture: Picture) -> Picture:
        """(H, W, C) and (H, W) -> float32 C h w, normalised, and labels h w."""
        image, labels = picture
        fitted = self.fit(image)
        return fitted.values, resize_nearest(labels, fitted.size_hw)
