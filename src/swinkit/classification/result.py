"""The classes of one image, as validated values. K classes; probabilities sum to 1."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swinkit.errors import SwinkitError, printable, require
from swinkit.images.reading import check_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUM_TOLERANCE = 1e-2  # a softmax in bfloat16 over 1000 classes is off by a few parts in a thousand


@dataclass(frozen=True, eq=False)
class Classification:
    """The classes of one image, with their probabilities.

    Attributes:
        class_names: K names, in the order of the model's outputs.
        probabilities: (K,) float32, each in 0..1, sum 1; kept as a read-only copy.
        source: the file, or whatever else names the image.
        image_rgb: the image as read, (H, W, 3) uint8, for `plot`.
        seconds: time that this image took, its share of the batch.

    Raises:
        SwinkitError: a shape that does not fit, or values that are no probabilities (a model
            whose weights hold NaN gives such).

    Example:
        >>> from swinkit import Classification
        >>> found = Classification(("cat", "dog", "heron"), [0.1, 0.7, 0.2])
        >>> found
        Classification('dog', confidence=0.7000)
        >>> [name for name, _ in found.top(2)]
        ['dog', 'heron']
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray
    source: str | None = None
    image_rgb: np.ndarray | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.class_names)
        values = np.array(self.probabilities, dtype=np.float32)
        values.flags.writeable = False
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "probabilities", values)
        where = f" for {self.source}" if self.source else ""
        if not names:
            raise SwinkitError("a classification needs at least one class name, got none")
        if values.shape != (len(names),):
            raise SwinkitError(
                f"probabilities{where}: expected shape ({len(names)},), one for each class name, "
                f"got {values.shape}"
            )
        _check_probabilities(values, where)
        if self.image_rgb is not None:
            check_rgb(self.image_rgb, where)

    @property
    def index(self) -> int:
        """Place of the most probable class in `class_names`; the first one where several tie."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        """Name of the most probable class."""
        return self.class_names[self.index]

    @property
    def confidence(self) -> float:
        """Probability of `label`."""
        return float(self.probabilities[self.index])

    def top(self, k: int = 5) -> tuple[tuple[str, float], ...]:
        """The `k` most probable (name, probability), best first; all K where k exceeds K.

        Raises:
            SwinkitError: k below 1.
        """
        if k < 1:
            raise SwinkitError(f"top-k needs k >= 1, got {k}")
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return tuple((self.class_names[i], float(self.probabilities[i])) for i in order)

    def to_dict(self, k: int | None = None) -> dict[str, Any]:
        """Plain values that JSON can hold; the `k` best classes, or all of them, best first."""
        best = self.top(len(self.class_names) if k is None else k)
        return {
            "source": self.source,
            "label": self.label,
            "confidence": self.confidence,
            "seconds": self.seconds,
            "classes": [{"label": name, "probability": value} for name, value in best],
        }

    def to_json(self, k: int | None = None) -> str:
        """`to_dict` as one line of JSON, letters of every script kept readable."""
        return json.dumps(self.to_dict(k), ensure_ascii=False)

    def draw(self, k: int = 1) -> np.ndarray:
        """The image with its `k` best classes written on it, (h, w, 3) uint8 RGB, in a size to
        display; gray where no image was kept."""
        from swinkit.pictures.annotating import on_canvas, write_lines

        size_hw = (480, 640) if self.image_rgb is None else self.image_rgb.shape[:2]
        picture = on_canvas(self.image_rgb, (size_hw[0], size_hw[1]))
        return write_lines(picture, [f"{label} {value:.0%}" for label, value in self.top(k)])

    def plot(self, path: str | Path | None = None, k: int = 5) -> "Figure":
        """The image beside bars of its `k` best classes.

        Args:
            path: picture file to write as well; its suffix chooses the format (.png, .pdf, .svg).
            k: number of classes.

        Raises:
            SwinkitError: a format that matplotlib does not write, or a file that cannot be written.
        """
        # Imported here because it takes longer than everything else that a prediction imports.
        require("matplotlib")
        from matplotlib.figure import Figure

        from swinkit.pictures.drawing import save_figure

        best = self.top(k)
        columns = 1 if self.image_rgb is None else 2
        figure = Figure(figsize=(4.5 * columns, max(2.4, 0.45 * len(best) + 1)), layout="tight")
        if self.image_rgb is not None:
            picture = figure.add_subplot(1, columns, 1)
            picture.imshow(self.image_rgb)
            picture.set_axis_off()
        _draw_bars(figure.add_subplot(1, columns, columns), best)
        if self.source:
            figure.suptitle(printable(Path(self.source).name), parse_math=False)
        if path is not None:
            save_figure(figure, Path(path))
        return figure

    def __repr__(self) -> str:
        where = f", source={self.source!r}" if self.source else ""
        return f"Classification({self.label!r}, confidence={self.confidence:.4f}{where})"


def _check_probabilities(values: np.ndarray, where: str) -> None:
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise SwinkitError(
            f"probabilities{where}: {bad} of {values.size} are NaN or infinite; "
            "the model's weights are damaged or its numbers overflowed"
        )
    if values.min() < 0 or values.max() > 1 + SUM_TOLERANCE:
        raise SwinkitError(
            f"probabilities{where}: expected values in 0..1, got "
            f"{values.min():.4g}..{values.max():.4g}; apply softmax to logits first"
        )
    total = float(values.sum(dtype=np.float64))
    if abs(total - 1) > SUM_TOLERANCE:
        raise SwinkitError(f"probabilities{where}: expected sum 1, got {total:.4g}")


def _draw_bars(axes: "Axes", best: tuple[tuple[str, float], ...]) -> None:
    rows = range(len(best))
    axes.barh(rows, [value for _, value in best], color="#4c72b0")
    axes.set_yticks(rows)
    for tick, (name, _) in zip(axes.set_yticklabels([name for name, _ in best]), best, strict=True):
        tick.set_parse_math(False)
        tick.set_text(name)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15)
    axes.set_xlabel("probability")
    for row, (_, value) in zip(rows, best, strict=True):
        axes.text(value + 0.01, row, f"{value:.1%}", va="center")
    axes.spines[["top", "right"]].set_visible(False)
