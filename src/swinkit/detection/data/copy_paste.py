"""Objects of one image pasted into another. G objects, H W map, C channels.

Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation,
section 3, without the blurred edges, which the paper found to make no difference.
"""

from dataclasses import replace

import numpy as np

from swinkit.detection.data.objects import Objects

Picture = tuple[np.ndarray, Objects]  # (H, W, C) and what is on it


def paste_objects(
    target: Picture, source: Picture, rng: np.random.Generator, *, most: int, min_visible: float
) -> Picture:
    """Paste a random choice of the source's objects, at a random place.

    What they cover is cut out of the target's objects; see `Objects.covered`.

    Args:
        target, source: pictures of any two sizes and of the same type and channels.
        rng: decides the choice and the place.
        most: greatest number of objects.
        min_visible: part of an object that must stay uncovered for it to count.
    """
    image, objects = target
    patch, found = _placed(source, objects.size_hw, rng)
    usable = np.flatnonzero(~found.is_crowd)
    if len(usable) == 0:
        return target
    count = int(rng.integers(1, min(most, len(usable)) + 1))
    chosen = found.take(np.sort(rng.choice(usable, count, replace=False)))
    cover = _cover(chosen)
    pasted = np.where(cover[:, :, None], patch, image)
    return pasted, objects.covered(cover, min_visible).joined(chosen)


def _placed(source: Picture, size_hw: tuple[int, int], rng: np.random.Generator) -> Picture:
    """The source cut or filled up with zeros to `size_hw`."""
    image, objects = source
    place = []
    window = []
    for present, wanted in zip(objects.size_hw, size_hw, strict=True):
        start = int(rng.integers(0, abs(present - wanted) + 1))
        window.append((start, start + wanted) if present > wanted else (0, present))
        place.append(0 if present > wanted else start)
    (top, bottom), (left, right) = window
    # An object that the edge of the picture cuts must not be pasted as if it were whole.
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
