"""The picture of a run: losses, validation scores and learning rate over the epochs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from swinkit.pictures.figures import BLUE, GREEN, GREY, ORANGE

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

    def draw(axes: Axes, column: str, colour: str, label: str) -> None:
        marker = "o" if len(rows) < FEW_EPOCHS else None
        values = [row[column] for row in rows]
        axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3.5)

    draw(loss, "train_loss", GREY, "training (augmented)")
    if "val_loss" in rows[0]:
        draw(loss, "val_loss", BLUE, "validation")
    loss.set_title("loss")
    loss.legend(frameon=False)
    _draw_scores(score, rows, panel, draw)
    draw(rate, "lr", GREEN, "learning rate")
    rate.set_title("learning rate at the end of the epoch")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (loss, score, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
    for (column, label), colour in zip(panel.columns, (BLUE, ORANGE, GREEN, GREY), strict=False):
        dull = panel.dull_at_one and all(row[column] >= 1 for row in rows)
        if column == main or not dull:
            draw(axes, column, colour, label)
    best = max(rows, key=panel.better)
    axes.plot(best["epoch"], best[main], "*", color=GREEN, markersize=13, zorder=3)
    axes.set_title(f"{panel.title}, best {best[main]:.1%} in epoch {best['epoch']:.0f}")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, loc="lower right")
