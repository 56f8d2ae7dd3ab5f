"""What a masked image model makes of one image, as validated values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swinkit.errors import SwinkitError, printable
from swinkit.task.format import ImageResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRAY_LEVEL = 128  # of hidden squares in pictures


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruction(ImageResult):
    """An image with hidden squares, and what the model makes of them.

    Attributes:
        image: what the network was made for, (H, W, C) uint8: scaled and cut.
        hidden: (H, W) bool, True where the network did not see it.
        reconstruction: (H, W, C) uint8, by the network everywhere.
        loss: mean absolute difference over hidden pixels, in the units of the training loss.
        source: the file, or whatever else names the image.

    Raises:
        SwinkitError: shapes that do not belong together.

    Example:
        >>> import numpy as np
        >>> from swinkit.pretraining.result import Reconstruction
        >>> image, hidden = np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool)
        >>> found = Reconstruction(image=image, hidden=hidden, reconstruction=image + 9, loss=0.1)
        >>> int(found.masked[0, 0, 0]), int(found.filled[0, 0, 0]), int(found.filled[0, 1, 0])
        (128, 9, 0)
    """

    image: np.ndarray
    hidden: np.ndarray
    reconstruction: np.ndarray
    loss: float
    source: str | None = None

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.reconstruction.shape != shape or self.hidden.shape != shape[:2]:
            raise SwinkitError(
                f"a reconstruction of shape {self.reconstruction.shape} and a mask of shape "
                f"{self.hidden.shape} do not fit an image of shape {shape}"
            )

    @property
    def masked(self) -> np.ndarray:
        """The image as the network saw it, (H, W, C) uint8, its hidden squares gray."""
        return np.where(self.hidden[:, :, None], np.uint8(GRAY_LEVEL), self.image)

    @property
    def filled(self) -> np.ndarray:
        """The image with the reconstruction in its hidden squares, (H, W, C) uint8."""
        return np.where(self.hidden[:, :, None], self.reconstruction, self.image)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"source": self.source, "loss": self.loss, "hidden": float(self.hidden.mean())}

    def figure(self) -> "Figure":
        """Masked, reconstructed and original side by side."""
        return rows_of([self], printable(Path(self.source).name) if self.source else "")


def rows_of(results: list[Reconstruction], heading: str) -> "Figure":
    """A row for each: masked, reconstructed, original."""
    # Imported here because it takes longer than everything else that a prediction imports.
    from swinkit.pictures.figures import image_grid

    images = [_shown(part) for found in results for part in (found.masked, found.filled)]
    originals = [_shown(found.image) for found in results]
    cells = [
        cell
        for row, original in enumerate(originals)
        for cell in (images[2 * row], images[2 * row + 1], original)
    ]
    titles = [
        title
        for found in results
        for title in ("masked", f"reconstructed, loss {found.loss:.3f}", "original")
    ]
    return image_grid(cells, titles, heading, columns=3, cell_inches=(2.2, 2.2))


def _shown(image: np.ndarray) -> np.ndarray:
    """Three bands, or the first one where there are others."""
    return image if image.shape[2] in (1, 3) else image[:, :, :1]
