"""The variation of training images; boxes and masks follow. H W map, C channels, G objects."""

from collections.abc import Callable

import numpy as np

from swinkit.data.photometric import vary_colors
from swinkit.detection.data.config import DetectionAugmentation
from swinkit.detection.data.copy_paste import Picture, paste_objects
from swinkit.images.fitting import Fit, resize_linear


class DetectionTransform:
    """Random crop, resize, flips, turns, colors and copy-paste, as the settings say.

    A crop and the resizes around it are done as one cut and one resize of the original pixels.

    Args:
        config: what is varied, and how much.
    """

    def __init__(self, config: DetectionAugmentation) -> None:
        self.config = config

    def __call__(
        self,
        picture: Picture,
        rng: np.random.Generator,
        second: Callable[[], Picture | None] | None = None,
    ) -> Picture:
        """Vary one image.

        Args:
            picture: (H, W, C) uint8 or float32 in 0..1, and its objects.
            rng: decides everything.
            second: reads another picture to copy objects from, or gives None; it is called only
                where copy-paste takes place. Without it nothing is pasted.
        """
        config = self.config
        varied = self._moved(picture, rng)
        if second is not None and rng.random() < config.copy_paste_probability:
            other = second()
            if other is not None:
                varied = paste_objects(
                    varied,
                    self._moved(other, rng),
                    rng,
                    most=config.copy_paste_objects,
                    min_visible=config.min_visible,
                )
        image, objects = varied
        if rng.random() < config.photometric_probability:
            image = vary_colors(image, rng, config.photometric_strength)
        return image, objects

    def _moved(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Crop, resize, mirror and turn."""
        config = self.config
        image, objects = picture
        if rng.random() < config.crop_probability:
            left, top, right, bottom = window = self._window(objects.size_hw, rng)
            image = image[top:bottom, left:right]
            objects = objects.cropped(window, config.min_visible)
        fit = Fit(short_side=int(rng.choice(config.short_sides)), long_side=config.long_side)
        size_hw = fit.size_for(objects.size_hw)
        image, objects = resize_linear(image, size_hw), objects.resized(size_hw)
        if rng.random() < config.horizontal_flip:
            image, objects = image[:, ::-1], objects.mirrored()
        if rng.random() < config.quarter_turn:
            image, objects = image.transpose(1, 0, 2), objects.transposed()
        if rng.random() < config.vertical_flip:
            image, objects = image[::-1], objects.flipped()
        return image, objects

    def _window(
        self, size_hw: tuple[int, int], rng: np.random.Generator
    ) -> tuple[int, int, int, int]:
        """x y x y of a crop, in pixels of the original; its sides are drawn in pixels of the
        resized image."""
        low, high = self.config.crop_sides
        scale = int(rng.choice(self.config.crop_short_sides)) / min(size_hw)
        sides, starts = [], []
        for present in size_hw:
            longest = max(1, round(present * scale))
            drawn = rng.integers(min(longest, low), min(longest, high) + 1)
            sides.append(min(present, max(1, round(float(drawn) / scale))))
            starts.append(int(rng.integers(0, present - sides[-1] + 1)))
        return starts[1], starts[0], starts[1] + sides[1], starts[0] + sides[0]
