"""Bilinear resampling of pixels as OpenCV does it. H W map, C channels; NumPy only.

The published detectors and segmenters were trained and measured on images that OpenCV had
scaled: two pixels per axis whatever the factor, no smoothing when shrinking, and for 8-bit
pixels in fixed point. A network sees the difference, so the same numbers are made here.
"""

import numpy as np

COEFFICIENT_BITS = 11  # weights of 8-bit pixels are multiples of 1/2048
ONE = 1 << COEFFICIENT_BITS
BLOCK_PIXELS = 1 << 16  # output pixels worked on at a time: the intermediate sums stay in cache


def resize_linear(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resample (H, W, C) to `size_hw`, keeping the type.

    For uint8 it equals `cv2.resize(..., interpolation=cv2.INTER_LINEAR)` bit for bit; floats are
    interpolated in float32 at the same places.

    Args:
        pixels: (H, W, C), uint8 or float32.
        size_hw: (height, width) of the answer, both at least 1.
    """
    height, width, channels = pixels.shape
    if (height, width) == size_hw:
        return pixels
    half = (height, width) == (2 * size_hw[0], 2 * size_hw[1])
    if half and pixels.dtype == np.uint8:
        return _halved(pixels)
    whole = pixels.dtype == np.uint8
    left, right, weight_right = _columns(width, size_hw[1])
    above, below, weight_below = _rows(height, size_hw[0])
    across = _weights(weight_right, whole)[:, :, None]
    down = _weights(weight_below, whole)[:, :, None, None]
    answer = np.empty((*size_hw, channels), pixels.dtype)
    step = max(1, BLOCK_PIXELS // size_hw[1])
    for start in range(0, size_hw[0], step):
        rows = slice(start, min(start + step, size_hw[0]))
        used, place = np.unique(np.concatenate((above[rows], below[rows])), return_inverse=True)
        lines = pixels[used]
        # used W C -> used w C, the horizontal pass, once for every source row of this block
        mixed = lines[:, left] * across[0] + lines[:, right] * across[1]
        count = rows.stop - rows.start
        upper, lower = mixed[place[:count]], mixed[place[count:]]
        answer[rows] = _mix(upper, lower, down[0, rows], down[1, rows])
    return answer


def _mix(
    upper: np.ndarray, lower: np.ndarray, weight_upper: np.ndarray, weight_lower: np.ndarray
) -> np.ndarray:
    if upper.dtype != np.int32:
        return upper * weight_upper + lower * weight_lower
    # The order of shifts is OpenCV's: each row's share is cut to 2 fractional bits on its own.
    upper >>= 4
    upper *= weight_upper
    upper >>= 16
    lower >>= 4
    lower *= weight_lower
    lower >>= 16
    upper += lower
    upper += 2
    upper >>= 2
    return np.clip(upper, 0, 255)


def _halved(pixels: np.ndarray) -> np.ndarray:
    """At exactly half the size OpenCV averages 2x2 pixels; its rounding depends on the channels."""
    wide = pixels.astype(np.uint16)
    total = wide[0::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 0::2] + wide[1::2, 1::2]
    if pixels.shape[2] in (1, 3, 4):
        return ((total + 2) >> 2).astype(np.uint8)
    return np.rint(total * np.float32(0.25)).astype(np.uint8)


def _places(present: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel before each sample, and the share of the one after it (float32, as OpenCV's)."""
    scale = 1 / (wanted / present)
    place = ((np.arange(wanted) + 0.5) * scale - 0.5).astype(np.float32)
    before = np.floor(place).astype(np.int64)
    return before, place - before.astype(np.float32)


def _columns(present: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before, share = _places(present, wanted)
    share[(before < 0) | (before >= present - 1)] = 0
    before = before.clip(0, present - 1)
    return before, (before + 1).clip(max=present - 1), share


def _rows(present: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Unlike columns, rows past the border keep their shares; both come from the border row.
    before, share = _places(present, wanted)
    return before.clip(0, present - 1), (before + 1).clip(0, present - 1), share


def _weights(share: np.ndarray, whole: bool) -> np.ndarray:
    """(2, N): shares of the pixel before and the pixel after; integers of 1/2048 for 8 bits."""
    both = np.stack((np.float32(1) - share, share))
    return np.rint(both * np.float32(ONE)).astype(np.int32) if whole else both
