"""What the numbers of masks mean where no legend says it: the numbers of classes, black and white,
or gray levels. K classes."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set

import numpy as np

from swinkit.segmentation.data.masks import IGNORE

WHITE_FROM = 128
NEAR = 32  # how far from 0 or 255 the values of smoothed or compressed black and white lie
MOST_LEVELS = 32
FEW_LEVELS = 3  # so many are classes in order, however they are spaced
GRAY_FROM = 32  # a darkest level from which the levels are grays, and 255 is one of them
SPARSE = 4  # numbers of classes reach at most so many times the count of those that are there
RARE = 0.005  # part of a mask's pixels below which a value may be noise
MOST_RARE, PART_RARE = 12, 0.75  # values of a mask that are rare: their number, their part


def is_black_and_white(counts: Mapping[int, int]) -> bool:
    """Whether values pile up at 0 and 255 with hardly anything between, as smoothing and JPEG make.

    Args:
        counts: pixels of each value, over all masks.
    """
    if set(counts) == {0, 255}:
        return True
    if min(counts) < 0 or max(counts) > 255:
        return False
    pixels = np.zeros(256)
    pixels[list(counts)] = list(counts.values())
    pixels /= pixels.sum()
    dark, light = pixels[:NEAR], pixels[-NEAR:]
    between = pixels[NEAR:-NEAR]
    # Numbers of classes, with 255 as void, have nothing above the last number.
    smooth = int((pixels[WHITE_FROM:-1] > 0).sum()) >= 3
    peaks = dark.argmax() < 8 and light.argmax() >= NEAR - 8
    piled = dark.sum() + light.sum() >= 0.7 and min(dark.sum(), light.sum()) >= 0.001
    # A third level of gray would be a pile of its own.
    alone = between.max() < min(dark.sum(), light.sum()) / 4
    return bool(smooth and peaks and piled and alone)


def gray_levels(used: Set[int]) -> tuple[int, ...] | None:
    """Values that are levels of gray, each a class, in order; None where they are not.

    Evenly spaced values are (0, 85, 170, 255), and up to three of any spacing (0, 127, 255).
    255 is void where the others do not look like grays.
    """
    values, numbers = sorted(used), sorted(used - {IGNORE})
    if len(numbers) < 2 or is_dense(used):
        return None
    levels = values if values[1] >= GRAY_FROM or _evenly_spaced(values) else numbers
    return tuple(levels) if len(levels) <= FEW_LEVELS or _evenly_spaced(levels) else None


def is_dense(used: Set[int]) -> bool:
    """Whether values may be the numbers of classes of which some are absent."""
    numbers = used - {IGNORE}
    return not numbers or max(numbers) < SPARSE * (len(numbers) + 1)


def is_noisy(masks: Sequence[np.ndarray]) -> bool:
    """Whether most masks have many values of few pixels each, as smoothing and JPEG make.

    Args:
        masks: the pixels of each value, mask by mask.
    """
    noisy = Counter(
        (few := int((counts < RARE * counts.sum()).sum())) >= MOST_RARE
        and few >= PART_RARE * len(counts)
        for counts in masks
    )
    return noisy[True] > noisy[False]


def _evenly_spaced(values: Sequence[int]) -> bool:
    if not 2 < len(values) <= MOST_LEVELS:
        return False
    ramp = np.linspace(values[0], values[-1], len(values))
    return bool(np.abs(np.array(values) - ramp).max() <= 1)
