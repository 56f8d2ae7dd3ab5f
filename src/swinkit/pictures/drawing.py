"""What the results share: the check of their picture, and writing a figure."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swinkit.errors import SwinkitError
from swinkit.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_image(image: np.ndarray, where: str) -> None:
    """Raises SwinkitError for anything but (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SwinkitError(
            f"image_rgb{where}: expected (H, W, 3) uint8, got {image.shape} {image.dtype}"
        )


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure; its suffix chooses the format. Raises SwinkitError where that fails."""
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
        figure.savefig(temporary, dpi=120)
