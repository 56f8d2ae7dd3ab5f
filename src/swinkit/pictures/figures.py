"""Figures that several tasks share: the curves of a run, confusion matrix, grid of images.

All are matplotlib figures without pyplot, so they need no display and leave no state behind.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from swinkit.errors import printable
from swinkit.images.masks import compact_masks
from swinkit.pictures.annotating import draw_objects
from swinkit.pictures.drawing import as_fractions, class_colors

BLUE, ORANGE, GREEN, GRAY = "#2b6cb0", "#d9730d", "#2f855a", "#718096"
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#bcd4ec", BLUE, "#153e75"])
FEW_CLASSES = 20  # up to this many, each cell of a confusion matrix carries its numbers
MANY_CLASSES = 110  # beyond this, class names would be unreadable
LEGEND_COLUMNS = 8
FEW_EPOCHS = 25  # fewer than this many are marked one by one

Row = Mapping[str, float]


def _accuracy(row: Row) -> tuple[float, ...]:
    return row["val_top1"], -row["val_loss"]


@dataclass(frozen=True, kw_only=True)
class ScorePanel:
    """Which columns of results.csv are drawn as scores.

    Attributes:
        title: what they are called together.
        columns: column and its label; the first one's best epoch gets a star.
        better: key of a row; the epoch where it is greatest is the best.
        dull_at_one: leave a further column out where it is 1 throughout: with five classes or
            fewer, top-5 is always right and tells nothing.
    """

    title: str = "validation accuracy"
    columns: tuple[tuple[str, str], ...] = (("val_top1", "top-1"), ("val_top5", "top-5"))
    better: Callable[[Row], tuple[float, ...]] = _accuracy
    dull_at_one: bool = True


CLASSIFICATION = ScorePanel()


def curves(rows: Sequence[Row], panel: ScorePanel = CLASSIFICATION) -> Figure:
    """Loss, validation scores and learning rate over the epochs.

    Args:
        rows: one per epoch, with the columns of results.csv.
        panel: the scores.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]

    def draw(axes: Axes, column: str, color: str, label: str) -> None:
        marker = "o" if len(rows) < FEW_EPOCHS else None
        values = [row[column] for row in rows]
        axes.plot(epochs, values, color=color, label=label, marker=marker, markersize=3.5)

    draw(loss, "train_loss", GRAY, "training (augmented)")
    if "val_loss" in rows[0]:
        draw(loss, "val_loss", BLUE, "validation")
    loss.set_title("loss")
    loss.legend(frameon=False)
    _draw_scores(score, rows, panel, draw)
    draw(rate, "lr", GREEN, "learning rate")
    rate.set_title("learning rate at the end of the epoch")
    rate.yaxis.set_major_formatter("{x:g}")  # a common factor would stand in the title's way
    for axes in (loss, score, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(rows) == 1:
            axes.set_xticks(epochs)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_scores(
    axes: Axes,
    rows: Sequence[Row],
    panel: ScorePanel,
    draw: Callable[[Axes, str, str, str], None],
) -> None:
    main = panel.columns[0][0]
    for (column, label), color in zip(panel.columns, (BLUE, ORANGE, GREEN, GRAY), strict=False):
        dull = panel.dull_at_one and all(row[column] >= 1 for row in rows)
        if column == main or not dull:
            draw(axes, column, color, label)
    best = max(rows, key=panel.better)
    axes.plot(best["epoch"], best[main], "*", color=GREEN, markersize=13, zorder=3)
    axes.set_title(f"{panel.title}, best {best[main]:.1%} in epoch {best['epoch']:.0f}")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, loc="lower right")


def confusion_matrix(
    counts: np.ndarray, class_names: Sequence[str], *, unit: Literal["images", "pixels"] = "images"
) -> Figure:
    """Rows are the truth, normalized to 100 %; columns are the predictions.

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


def image_grid(
    images: Sequence[np.ndarray | None],
    titles: Sequence[str],
    heading: str = "",
    *,
    columns: int | None = None,
    cell_inches: tuple[float, float] = (1.9, 1.8),
    legend: Sequence[tuple[str, np.ndarray]] = (),
) -> Figure:
    """Pictures row by row, each below its title, and the colors of classes at the bottom.

    Args:
        images: (H, W, 1 or 3) uint8; one that is None leaves its place empty.
        titles: one per picture.
        heading: of the whole.
        columns: pictures in a row; by default four to eight.
        cell_inches: width and height of a picture's place.
        legend: names and (3,) uint8 colors.
    """
    columns = columns or min(8, max(4, math.ceil(math.sqrt(len(images)))))
    rows = max(1, math.ceil(len(images) / columns))
    lines = 1 + max((title.count("\n") for title in titles), default=0)
    names = math.ceil(len(legend) / LEGEND_COLUMNS)
    height = (cell_inches[1] + 0.17 * lines) * rows + 0.4 + 0.25 * names
    figure = Figure(figsize=(cell_inches[0] * columns, height), layout="constrained")
    figure.suptitle(heading)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.set_title(title, fontsize=8, parse_math=False)
        if image is None:
            axes.text(0.5, 0.5, "gone", ha="center", va="center", color=GRAY)
            continue
        flat = image[:, :, 0] if image.shape[2] == 1 else image
        shades = "gray" if flat.ndim == 2 else None
        axes.imshow(flat, cmap=shades, interpolation="antialiased", aspect="equal")
        # Framed, so that a white border of an image is seen as part of it.
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#cbd5e0")
    if legend:
        figure.legend(
            handles=[
                Patch(color=as_fractions(color), label=shorten(name)) for name, color in legend
            ],
            loc="outside lower center",
            ncols=min(LEGEND_COLUMNS, len(legend)),
            fontsize=8,
            frameon=False,
        )
    return figure


def shorten(text: str, most: int = 22) -> str:
    """Long names with their middle left out, and escapes for what cannot be drawn."""
    text = printable(text)
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


MOST_IMAGES = 8
MOST_NAMES = 24  # classes that a legend has room for
CELL_INCHES = (4.0, 3.2)
HEADING = "a training batch, as the network sees it"


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenObjects:
    """One image as the network sees it, and its truth in the same pixels.

    Attributes:
        image: (H, W, C) uint8.
        boxes_xyxy: (G, 4). labels: (G,).
        masks: (G, H, W) of 0 and 1, or None.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None


def detection_preview(seen: Sequence[SeenObjects], class_names: Sequence[str]) -> Figure:
    """Images with their boxes and masks."""
    pictures = [
        draw_objects(
            _three(item.image),
            (item.image.shape[0], item.image.shape[1]),
            boxes_xyxy=item.boxes_xyxy,
            labels=item.labels,
            class_names=class_names,
            masks=None if item.masks is None else compact_masks(item.masks),
        )
        for item in seen[:MOST_IMAGES]
    ]
    titles = [f"{len(item.labels)} objects" for item in seen[:MOST_IMAGES]]
    return image_grid(pictures, titles, HEADING, columns=4, cell_inches=CELL_INCHES)


def segmentation_preview(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    class_names: Sequence[str],
    ignore_index: int,
) -> Figure:
    """Images (H, W, C) uint8, each beside its (H, W) labels."""
    colors = class_colors(len(class_names))
    pictures, titles = [], []
    for image, found in list(zip(images, labels, strict=True))[: MOST_IMAGES // 2]:
        painted = np.zeros((*found.shape, 3), np.uint8)
        counts = found != ignore_index
        painted[counts] = colors[found[counts]]
        pictures += [_three(image), painted]
        titles += ["", f"{counts.mean():.0%} labeled, black does not count"]
    present = sorted(
        {int(value) for found in labels for value in np.unique(found)} - {ignore_index}
    )
    legend = [(class_names[label], colors[label]) for label in present[:MOST_NAMES]]
    return image_grid(pictures, titles, HEADING, columns=4, cell_inches=CELL_INCHES, legend=legend)


def _three(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else image.repeat(3, axis=2)
