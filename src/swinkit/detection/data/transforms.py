"""The augmentation of training images; boxes and masks follow. H W map, C channels, G objects.

Pasting: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation, section 3, without the blurred edges, which the paper found to make no difference.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from swinkit.data.photometric import jitter_colors
from swinkit.detection.data.objects import Objects
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.images.fitting import Fit, resize_linear
from swinkit.settings import SizeHW

AnnotatedImage = tuple[np.ndarray, Objects]  # (H, W, C) and what is on it


class DetectionTransform:
    """Random crop, resize, flips, turns, colors and copy-paste, as the settings say.

    A crop and the resizes around it are done as one cut and one resize of the original pixels.

    Args:
        config: of the augmentation.
    """

    def __init__(self, config: DetectionAugmentation) -> None:
        self.config = config

    def __call__(
        self,
        annotated: AnnotatedImage,
        rng: np.random.Generator,
        second: Callable[[], AnnotatedImage | None] | None = None,
    ) -> AnnotatedImage:
        """Augment one image.

        Args:
            annotated: (H, W, C) uint8 or float32 in 0..1, and its objects.
            rng: decides everything.
            second: reads another image to copy objects from, or gives None; it is called only
                where copy-paste takes place. Without it nothing is pasted.
        """
        config = self.config
        augmented = self._moved(annotated, rng)
        if second is not None and rng.random() < config.copy_paste_probability:
            other = second()
            if other is not None:
                augmented = paste_objects(
                    augmented,
                    self._moved(other, rng),
                    rng,
                    most=config.copy_paste_objects,
                    min_visible=config.min_visible,
                )
        image, objects = augmented
        if rng.random() < config.photometric_probability:
            image = jitter_colors(image, rng, config.photometric_strength)
        return image, objects

    def _moved(self, annotated: AnnotatedImage, rng: np.random.Generator) -> AnnotatedImage:
        """Crop, resize, mirror and turn."""
        config = self.config
        image, objects = annotated
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

    def _window(self, size_hw: SizeHW, rng: np.random.Generator) -> tuple[int, int, int, int]:
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


def paste_objects(
    target: AnnotatedImage,
    source: AnnotatedImage,
    rng: np.random.Generator,
    *,
    most: int,
    min_visible: float,
) -> AnnotatedImage:
    """Paste some of the source's objects, drawn at random, at a random place.

    What they cover is cut out of the target's objects; see `Objects.covered`.

    Args:
        target, source: images of any two sizes and of the same type and channels.
        rng: draws the objects and the place.
        most: greatest number of objects.
        min_visible: part of an object that must stay uncovered for it to count.
    """
    image, objects = target
    patch, found = _placed(source, objects.size_hw, rng)
    # The rectangle of an object without an outline would be pasted with its surroundings.
    outlined = True if found.box_only is None else ~found.box_only
    usable = np.flatnonzero(~found.is_crowd & outlined)
    if len(usable) == 0:
        return target
    count = int(rng.integers(1, min(most, len(usable)) + 1))
    drawn = found.take(np.sort(rng.choice(usable, count, replace=False)))
    cover = _cover(drawn)
    pasted = np.where(cover[:, :, None], patch, image)
    return pasted, objects.covered(cover, min_visible).joined(drawn)


def _placed(source: AnnotatedImage, size_hw: SizeHW, rng: np.random.Generator) -> AnnotatedImage:
    """The source cut or filled up with zeros to `size_hw`."""
    image, objects = source
    place = []
    window = []
    for present, wanted in zip(objects.size_hw, size_hw, strict=True):
        start = int(rng.integers(0, abs(present - wanted) + 1))
        window.append((start, start + wanted) if present > wanted else (0, present))
        place.append(0 if present > wanted else start)
    (top, bottom), (left, right) = window
    # An object that the edge of the image cuts must not be pasted as if it were whole.
    part = objects.cropped((left, top, right, bottom), min_visible=0.5)
    canvas = np.zeros((*size_hw, image.shape[2]), image.dtype)
    inner = (
        slice(place[0], place[0] + part.size_hw[0]),
        slice(place[1], place[1] + part.size_hw[1]),
    )
    canvas[inner] = image[top:bottom, left:right]
    masks = None
    if part.masks is not None:
        masks = np.zeros((len(part), *size_hw), np.uint8)
        masks[:, inner[0], inner[1]] = part.masks
    shift = np.array([place[1], place[0]] * 2, np.float32)
    moved = replace(part, boxes_xyxy=part.boxes_xyxy + shift, masks=masks, size_hw=size_hw)
    return canvas, moved


def _cover(objects: Objects) -> np.ndarray:
    """(H, W) bool: the pixels of all objects."""
    if objects.masks is not None:
        return np.asarray(objects.masks.any(axis=0))
    cover = np.zeros(objects.size_hw, bool)
    for left, top, right, bottom in objects.boxes_xyxy.round().astype(int).tolist():
        cover[top:bottom, left:right] = True
    return cover
