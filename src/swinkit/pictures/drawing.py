"""What every picture shares: one color per class, and writing. K classes."""

import colorsys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swinkit.errors import SwinkitError
from swinkit.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOLDEN_RATIO = 0.6180339887498949
# (saturation, value) of one round through the hues after another, light beside dark.
ROUNDS = ((0.78, 0.95), (0.85, 0.68), (0.45, 0.98), (0.60, 0.50))
FIRST_HUE = 0.58
HUES_PER_ROUND = 12
# Of PNG, 0 to 9: a fifth of the time that the default of 6 takes, for files a fifth larger.
COMPRESSION = 1


def class_colors(count: int) -> np.ndarray:
    """(K, 3) uint8 RGB: neighbors differ much, and a class keeps its color as K grows."""
    colors = []
    for number in range(count):
        hue = (FIRST_HUE + number * GOLDEN_RATIO) % 1
        saturation, value = ROUNDS[number // HUES_PER_ROUND % len(ROUNDS)]
        colors.append(colorsys.hsv_to_rgb(hue, saturation, value))
    return np.rint(np.array(colors).reshape(-1, 3) * 255).astype(np.uint8)


def readable_on(colors_rgb: np.ndarray) -> np.ndarray:
    """(K, 3) uint8: black or white, whichever is easier to read on each of (K, 3) colors."""
    luma = colors_rgb @ np.array([0.299, 0.587, 0.114])
    return np.where(luma[:, None] > 140, 0, 255).repeat(3, axis=1).astype(np.uint8)


def as_fractions(color_rgb: np.ndarray) -> tuple[float, float, float]:
    """A (3,) uint8 color as matplotlib takes it, from 0 to 1."""
    red, green, blue = (float(part) / 255 for part in color_rgb)
    return red, green, blue


def save_figure(figure: "Figure", path: str | Path, *, dpi: int = 120) -> None:
    """Write a figure, whole or not at all; its suffix decides the format (.png, .pdf, .svg).

    Raises:
        SwinkitError: a format that matplotlib does not write, or a file that cannot be written.
    """
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in known:
        raise SwinkitError(
            f"cannot write {path}: no picture format {path.suffix or '(no suffix)'!r}; "
            "use .png, .pdf or .svg"
        )
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # A letter that the plotting font lacks becomes a box; the file is still worth having.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        settings = {"compress_level": COMPRESSION} if suffix == "png" else {}
        figure.savefig(temporary, dpi=dpi, pil_kwargs=settings)
