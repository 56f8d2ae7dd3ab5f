"""One colour per class, the same in every picture. K classes."""

import colorsys

import numpy as np

GOLDEN_RATIO = 0.6180339887498949
# (saturation, value) of one round through the hues after another, light beside dark.
ROUNDS = ((0.78, 0.95), (0.85, 0.68), (0.45, 0.98), (0.60, 0.50))
FIRST_HUE = 0.58
HUES_PER_ROUND = 12


def class_colours(count: int) -> np.ndarray:
    """(K, 3) uint8 RGB: neighbours differ much, and a class keeps its colour as K grows."""
    colours = []
    for number in range(count):
        hue = (FIRST_HUE + number * GOLDEN_RATIO) % 1
        saturation, value = ROUNDS[number // HUES_PER_ROUND % len(ROUNDS)]
        colours.append(colorsys.hsv_to_rgb(hue, saturation, value))
    return np.rint(np.array(colours).reshape(-1, 3) * 255).astype(np.uint8)


def readable_on(colours_rgb: np.ndarray) -> np.ndarray:
    """(K, 3) uint8: black or white, whichever is easier to read on each of (K, 3) colours."""
    luma = colours_rgb @ np.array([0.299, 0.587, 0.114])
    return np.where(luma[:, None] > 140, 0, 255).repeat(3, axis=1).astype(np.uint8)
