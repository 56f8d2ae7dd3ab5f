"""Pictures of an evaluated detector: curves, predictions beside the truth, the worst errors."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from faster_coco_eval.core import mask as rle_tools
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from swinkit.detection.evaluate.coco import encode_truth
from swinkit.detection.evaluate.errors import IGNORED, RIGHT
from swinkit.detection.evaluate.report import DetectionReport, Example, Miss
from swinkit.detection.evaluate.scores import RECALLS
from swinkit.images.masks import compact_masks, place_crops
from swinkit.images.preprocessing import Normalization
from swinkit.pictures.annotating import draw_objects
from swinkit.pictures.drawing import class_colors
from swinkit.pictures.figures import BLUE, GRAY, shorten

if TYPE_CHECKING:
    from supervision.detection.compact_mask import CompactMask

RED, ORANGE, GREEN = "#c53030", "#d9730d", "#2f855a"
LABELED_CURVES = 15  # classes with a color and an entry in the legend; more are drawn thin
PER_ROW = 8
SMALLEST_VIEW = 48  # pixels of the image around an error
VIEW = 2.4  # sides of a view over the longer side of its box


def precision_recall(report: DetectionReport) -> Figure:
    """Precision over recall of each class at the overlaps 0.50 and 0.75, boxes and masks."""
    kinds = {"boxes": report.scores.box}
    if report.scores.mask is not None:
        kinds["masks"] = report.scores.mask
    figure = Figure(figsize=(12.5, 4.6 * len(kinds)), layout="constrained")
    grid = figure.subplots(len(kinds), 2, squeeze=False)
    for row, (kind, scores) in zip(grid, kinds.items(), strict=True):
        values = [(score.ap50, score.ap75) for score in scores.per_class]
        for column, (axes, threshold, mean, curves) in enumerate(
            (
                (row[0], "0.50", scores.ap50, scores.precision50),
                (row[1], "0.75", scores.ap75, scores.precision75),
            )
        ):
            _curves(axes, report.class_names, curves, [value[column] for value in values])
            axes.set_title(f"{kind}, overlap {threshold}: AP {_percent(mean)}")
    return figure


def _curves(axes: Axes, names: Sequence[str], curves: np.ndarray, values: Sequence[float]) -> None:
    present = [label for label in range(len(names)) if not math.isnan(values[label])]
    few = len(present) <= LABELED_CURVES
    colors = class_colors(len(names)) / 255
    for label in present:
        axes.plot(
            RECALLS,
            curves[label],
            color=colors[label] if few else "#cbd5e0",
            linewidth=1.8 if few else 0.8,
            label=f"{shorten(names[label])}  {_percent(values[label])}" if few else None,
        )
    if present and (len(present) > 1):
        mean = curves[present].mean(axis=0)
        axes.plot(RECALLS, mean, color="#1a202c", linewidth=2, linestyle="--", label="mean")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if present:
        for text in axes.legend(frameon=False, fontsize=9, loc="best").get_texts():
            text.set_parse_math(False)


def predictions(report: DetectionReport, shown: Normalization | None = None) -> Figure:
    """Images with their true objects, each beside what was found from the chosen score on.

    Args:
        report: of the evaluation.
        shown: the model's preprocessing, which tells how its images are shown.
    """
    examples = report.examples
    pairs_per_row = 1 if len(examples) == 1 else 2
    rows = max(1, math.ceil(len(examples) / pairs_per_row))
    ratio = max((e.sample.size_hw[0] / e.sample.size_hw[1] for e in examples), default=1.0)
    width = 6.0
    figure = Figure(
        figsize=(2 * pairs_per_row * width, rows * (width * min(ratio, 1.5) + 0.4) + 0.5),
        layout="constrained",
    )
    places = figure.subplots(rows, 2 * pairs_per_row, squeeze=False).flat
    for axes in places:
        axes.set_axis_off()
    for example, left, right in zip(examples, figure.axes[::2], figure.axes[1::2], strict=False):
        image = _read(example.sample.path, shown)
        _pair((left, right), image, example, report)
    figure.suptitle(f"truth, and what was found with score {report.overall.score:.2f} or more")
    return figure


def _pair(
    places: tuple[Axes, Axes], image: np.ndarray | None, example: Example, report: DetectionReport
) -> None:
    (left, right), names, score = places, report.class_names, report.overall.score
    sample, found, matching = example.sample, example.found, example.matching
    counted = np.flatnonzero(~sample.is_crowd)
    draw = partial(draw_objects, image, sample.size_hw, class_names=names)
    truth = draw(
        boxes_xyxy=sample.boxes_xyxy[counted],
        labels=sample.labels[counted],
        masks=None if sample.segments is None else compact_masks(sample.masks(counted)),
    )
    kept = np.flatnonzero(found.scores >= score)
    answer = draw(
        boxes_xyxy=found.boxes_xyxy[kept],
        labels=found.labels[kept],
        scores=found.scores[kept],
        masks=_masks(found.rles, kept, sample.size_hw),
    )
    kinds = [matching.kinds[row] for row in kept]
    right_ones = kinds.count(RIGHT)
    wrong = len(kinds) - right_ones - kinds.count(IGNORED)
    missed = int((matching.counted & (matching.taken_at < score)).sum())
    gone = "" if image is not None else " (image is gone)"
    for axes, picture, title in (
        (left, truth, f"{shorten(sample.path.name, 40)}: {len(counted)} objects{gone}"),
        (right, answer, f"found: {right_ones} right, {wrong} wrong, {missed} missed"),
    ):
        axes.imshow(picture, interpolation="antialiased")
        axes.set_title(title, fontsize=11, parse_math=False)


def _masks(
    rles: tuple[dict, ...] | None, rows: np.ndarray, size_hw: tuple[int, int]
) -> "CompactMask | None":
    if rles is None:
        return None
    return place_crops((rle_tools.decode(rles[row]) for row in rows), [(0, 0)] * len(rows), size_hw)


def worst_misses(report: DetectionReport, shown: Normalization | None = None) -> Figure:
    """Wrong detections of the highest scores, and the largest objects that nothing answers; see
    `predictions`."""
    groups = (
        ("wrong, highest score first", report.wrong),
        ("missed, largest object first", report.missed),
    )
    rows = [max(1, math.ceil(len(misses) / PER_ROW)) for _, misses in groups]
    figure = Figure(figsize=(2.2 * PER_ROW, 2.75 * sum(rows) + 1.2), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=rows, squeeze=False)
    for part, count, (heading, misses) in zip(parts.flat, rows, groups, strict=True):
        part.suptitle(heading if misses else f"{heading}: none", fontsize=12)
        _views(part, count, misses, report, shown)
    lines = [
        Line2D([], [], color=color, linewidth=2, label=text)
        for color, text in (
            (RED, "wrong detection"),
            (ORANGE, "missed object"),
            (GREEN, "other true objects"),
            (BLUE, f"other detections with score {report.overall.score:.2f} or more"),
        )
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _views(
    part: SubFigure,
    rows: int,
    misses: Sequence[Miss],
    report: DetectionReport,
    shown: Normalization | None,
) -> None:
    grid = part.subplots(rows, PER_ROW, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, miss in zip(grid.flat, misses, strict=False):
        name = shorten(report.class_names[miss.label])
        said = name if miss.score is None else f"{name} {miss.score:.2f}: {miss.kind}"
        axes.set_title(f"{said}\n{shorten(miss.sample.path.name)}", fontsize=8, parse_math=False)
        _view(axes, miss, report.overall.score, _read(miss.sample.path, shown))


def _view(axes: Axes, miss: Miss, score: float, image: np.ndarray | None) -> None:
    if image is None:
        axes.text(0.5, 0.5, "gone", ha="center", va="center", color=GRAY)
        return
    left, top, right, bottom = miss.box_xyxy
    side = max(SMALLEST_VIEW, VIEW * max(right - left, bottom - top))
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    height, width = image.shape[:2]
    rows = slice(max(0, math.floor(y)), min(height, math.ceil(y + side)))
    columns = slice(max(0, math.floor(x)), min(width, math.ceil(x + side)))
    # Only what is seen: a figure keeps its pictures whole.
    axes.imshow(
        image[rows, columns],
        extent=(columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5),
        interpolation="antialiased",
    )
    view = rows, columns
    others = np.flatnonzero(miss.found.scores >= score)
    truth = encode_truth(miss.sample) if miss.by_mask else None
    found = miss.found.rles if miss.by_mask else None
    everything = np.arange(len(miss.sample))
    _outlines(axes, miss.sample.boxes_xyxy, truth, everything, view, (GREEN, 1.0))
    _outlines(axes, miss.found.boxes_xyxy, found, others, view, (BLUE, 1.0))
    itself = np.array([miss.row])
    if miss.score is None:
        _outlines(axes, miss.sample.boxes_xyxy, truth, itself, view, (ORANGE, 2.2))
    else:
        _outlines(axes, miss.found.boxes_xyxy, found, itself, view, (RED, 2.2))
    axes.set(xlim=(columns.start - 0.5, columns.stop - 0.5))
    axes.set(ylim=(rows.stop - 0.5, rows.start - 0.5))


def _outlines(
    axes: Axes,
    boxes_xyxy: np.ndarray,
    rles: tuple[dict, ...] | None,
    chosen: np.ndarray,
    view: tuple[slice, slice],
    style: tuple[str, float],
) -> None:
    """The chosen objects' boxes, or the edges of their masks, where they reach into the view."""
    rows, columns = view
    color, width = style
    for row in chosen:
        left, top, right, bottom = (float(value) for value in boxes_xyxy[row])
        if left > columns.stop or right < columns.start or top > rows.stop or bottom < rows.start:
            continue
        if rles is None:
            corner, sides = (left - 0.5, top - 0.5), (right - left, bottom - top)
            outline = Rectangle(corner, *sides, fill=False, edgecolor=color, linewidth=width)
            axes.add_patch(outline)
            continue
        mask = rle_tools.decode(rles[row])[rows, columns]
        if mask.any() and not mask.all():
            x, y = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)
            axes.contour(x, y, mask, levels=[0.5], colors=[color], linewidths=[width])


def _read(path: Path, shown: Normalization | None) -> np.ndarray | None:
    """(H, W, 3) uint8; None for a file that is gone."""
    return (shown or Normalization()).read_picture(path)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"
