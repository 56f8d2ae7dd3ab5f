"""Pictures of a classifier: confusion matrix, training batch, worst mistakes.

All are matplotlib figures without pyplot, so they need no display and leave no state behind.
"""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from swinkit.classification.report import Mistake
from swinkit.errors import ImageError
from swinkit.files import atomic_write
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image

BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#d9730d", "#2f855a", "#718096"
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#bcd4ec", BLUE, "#153e75"])
FEW_CLASSES = 20  # up to this many, each cell of a confusion matrix carries its numbers
MANY_CLASSES = 110  # beyond this, class names would be unreadable


def write(figure: Figure, path: str | Path, *, dpi: int = 110) -> None:
    """Write a picture file, whole or not at all. Raises SwinkitError where refused."""
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # A letter that the plotting font lacks becomes a box; the picture is still worth having.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, dpi=dpi, format="png")


def confusion_matrix(
    counts: np.ndarray, class_names: Sequence[str], *, unit: Literal["images", "pixels"] = "images"
) -> Figure:
    """Rows are the truth, normalised to 100 %; columns are the predictions.

    Args:
        counts: (K, K) images or pixels, row truth, column prediction.
        class_names: K names.
        unit: what is counted; numbers of pixels are too long for their cells, and left out.
    """
    classes = len(class_names)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = 0.62 if classes <= FEW_CLASSES else 0.16 if classes <= MANY_CLASSES else 0.02
    names = [shorten(name) for name in class_names]
    label_width = 0.085 * max(map(len, names)) + 0.9
    side = max(3.2, min(16.0, cell * classes))
    figure = Figure(
        figsize=(side + label_width + 1.0, side + label_width + 0.3), layout="constrained"
    )
    axes = figure.subplots()
    image = axes.imshow(parts, cmap=SHADES, vmin=0, vmax=1)
    size = 9 if classes <= FEW_CLASSES else 6
    if classes <= MANY_CLASSES:
        axes.set_xticks(range(classes), names, rotation=90, fontsize=size)
        axes.set_yticks(range(classes), names, fontsize=size)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)
    if classes <= FEW_CLASSES:
        _label_cells(axes, counts, parts, bare=unit == "pixels")
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    right = float(np.trace(counts)) / max(float(counts.sum()), 1)
    axes.set_title(f"{right:.1%} of {_rounded(counts)} {unit} are right")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format=PercentFormatter(1.0))
    bar.set_label(f"part of the {unit} of a class")
    return figure


def _rounded(counts: np.ndarray) -> str:
    total = int(counts.sum())
    return f"{total / 1e6:.1f} million" if total >= 10**7 else str(total)


def _label_cells(axes: Axes, counts: np.ndarray, parts: np.ndarray, *, bare: bool) -> None:
    for row, column in zip(*counts.nonzero(), strict=True):
        if bare and parts[row, column] < 0.005:
            continue
        number = "" if bare else f"\n{counts[row, column]}"
        axes.text(
            column,
            row,
            f"{parts[row, column]:.0%}{number}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if parts[row, column] > 0.5 else "#1a202c",
        )


def batch_preview(
    images: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    *,
    most: int = 16,
) -> Figure:
    """Training images as the network sees them, with the labels they carry.

    Args:
        images: (B, C, H, W) normalised; varied and mixed.
        targets: (B, K) soft targets.
        class_names: K names; may be empty.
        preprocessing: whose normalisation is undone.
        most: images to show.
    """
    shown = [preprocessing.restore(image) for image in images[:most]]
    titles = [_describe_target(target, class_names) for target in targets[:most]]
    return _grid(shown, titles, "a training batch, as the network sees it")


def _describe_target(target: np.ndarray, class_names: Sequence[str]) -> str:
    # What label smoothing spreads evenly is not a label.
    above = target - target.min()
    parts = above / above.sum() if above.sum() > 0 else above
    order = [index for index in np.argsort(-parts)[:2] if parts[index] > 0.005]
    names = [class_names[index] if class_names else f"class {index}" for index in order]
    if len(order) == 1:
        return shorten(names[0])
    return "\n".join(
        f"{parts[index]:.0%} {shorten(name)}" for index, name in zip(order, names, strict=True)
    )


def worst_mistakes(mistakes: Sequence[Mistake], channels: int = 3) -> Figure:
    """The pictures that were classified worst, with the wrong and the right name.

    Args:
        mistakes: worst first; an image that is gone by now leaves its place empty.
        channels: to read; of more than three bands the first three are shown.
    """
    shown = [_picture(Path(mistake.path), channels) for mistake in mistakes]
    titles = [
        f"{shorten(item.predicted)} {item.confidence:.0%}\n"
        f"is {shorten(item.truth)} {item.truth_probability:.0%}\n{shorten(Path(item.path).name)}"
        for item in mistakes
    ]
    return _grid(shown, titles, "worst mistakes: what was said, what it is, which file")


def _picture(path: Path, channels: int) -> np.ndarray | None:
    try:
        pixels = read_image(path, channels=channels)
    except ImageError:
        return None
    if pixels.shape[2] not in (1, 3):
        pixels = pixels[:, :, :3] if pixels.shape[2] > 3 else pixels[:, :, :1]
    return pixels


def _grid(images: Sequence[np.ndarray | None], titles: Sequence[str], heading: str) -> Figure:
    columns = min(8, max(4, math.ceil(math.sqrt(len(images)))))
    rows = max(1, math.ceil(len(images) / columns))
    lines = 1 + max((title.count("\n") for title in titles), default=0)
    figure = Figure(
        figsize=(1.9 * columns, (1.8 + 0.17 * lines) * rows + 0.4), layout="constrained"
    )
    figure.suptitle(heading if images else "no mistakes")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.set_title(title, fontsize=8, parse_math=False)
        if image is None:
            axes.text(0.5, 0.5, "gone", ha="center", va="center", color=GREY)
            continue
        flat = image[:, :, 0] if image.shape[2] == 1 else image
        shades = "gray" if flat.ndim == 2 else None
        axes.imshow(flat, cmap=shades, interpolation="nearest", aspect="equal")
        # Framed, so that a white border of an image is seen as part of it.
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#cbd5e0")
    return figure


def shorten(text: str, most: int = 22) -> str:
    """Long names with their middle left out."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
