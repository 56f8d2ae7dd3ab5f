"""What an evaluation of a segmenter found. H W map, K classes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from swinkit.console import text_table
from swinkit.images.preprocessing import Normalization, resize_pixels
from swinkit.pictures.drawing import class_colors, save_figure
from swinkit.pictures.figures import GRAY, confusion_matrix, shorten
from swinkit.segmentation.evaluate.scores import SegmentationScores
from swinkit.task.evaluating import WIDEST_PERCENT, finite, percent, write_numbers

OPACITY = 0.6
WRONG = np.array([229, 62, 62])
LEGEND_CLASSES = 40
WIDTH = 4.2  # inches of one picture


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredImage:
    """One image's labels, found and true, small enough to keep.

    Attributes:
        path: the image.
        miou, pixel_accuracy: of this image alone; NaN and 0 where all of it is void.
        predicted, truth: (h, w) labels, every n-th pixel of the image.
    """

    path: Path
    miou: float
    pixel_accuracy: float
    predicted: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationReport:
    """Numbers of a segmenter on a set of images.

    Attributes:
        scores: IoU, accuracies, boundary F1 and confusion.
        boundary_tolerance: of the boundary F1, a part of the diagonal; None: not measured.
        ignore_index: void in the truth.
        seconds: reading and prediction together.
        worst: images of the lowest mean IoU, lowest first.
        examples: some images, evenly spread.
    """

    scores: SegmentationScores
    boundary_tolerance: float | None
    ignore_index: int
    seconds: float
    worst: tuple[MeasuredImage, ...]
    examples: tuple[MeasuredImage, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self.scores.class_names

    @property
    def images_per_second(self) -> float:
        """Images evaluated per second, reading included."""
        return self.scores.images / max(self.seconds, 1e-9)

    def numbers(self) -> dict[str, float]:
        """IoU, accuracies and boundary F1."""
        return self.scores.numbers()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            **{name: finite(value) for name, value in self.numbers().items()},
            "boundary_tolerance": self.boundary_tolerance,
            "images": self.scores.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "per_class": self.rows(),
            "confusion": self.scores.confusion.tolist(),
            "worst": [
                {
                    "path": str(each.path),
                    "miou": finite(each.miou),
                    "pixel_accuracy": each.pixel_accuracy,
                }
                for each in self.worst
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One entry per class; None where there is nothing to divide by."""
        return [
            {
                name: finite(value) if isinstance(value, float) else value
                for name, value in asdict(score).items()
            }
            for score in self.scores.per_class
        ]

    def table(self) -> str:
        """One line per class and a summary, as plain text."""
        scores, pixels = self.scores, max(int(self.scores.confusion.sum()), 1)
        rows = []
        for each in scores.per_class:
            ratios = (each.iou, each.accuracy, each.precision, each.boundary_f1)
            rows.append((each.name, *map(percent, (*ratios, each.pixels / pixels))))
        heads = ("class", "IoU", "accuracy", "precision", "boundary F1", "share")
        lines = text_table(heads, rows, narrowest=WIDEST_PERCENT)
        lines.append(
            f"mIoU {percent(scores.miou)}  pixel accuracy {percent(scores.pixel_accuracy)}  "
            f"mean accuracy {percent(scores.mean_accuracy)}  boundary F1 "
            f"{percent(scores.mean_boundary_f1)}  {scores.images} images, "
            f"{self.images_per_second:.1f} a second"
        )
        return "\n".join(lines)

    def write(self, folder: Path, preprocessing: Normalization | None = None) -> None:
        """report.json, per_class.csv, and pictures of the confusion and of some images.

        Args:
            folder: where.
            preprocessing: the model's, which tells how its images are shown; None: as pictures.

        Raises:
            SwinkitError: the system refuses.
        """
        write_numbers(folder, self.to_dict(), self.rows())
        confusion = confusion_matrix(self.scores.confusion, self.class_names, unit="pixels")
        save_figure(confusion, folder / "confusion_matrix.png")
        heading = "the image, its truth, what was found, and where that is wrong"
        save_figure(
            compare_labels(self, self.examples, heading, preprocessing), folder / "predictions.png"
        )
        worst = compare_labels(self, self.worst, f"lowest mean IoU first: {heading}", preprocessing)
        save_figure(worst, folder / "worst_images.png")


def compare_labels(
    report: SegmentationReport,
    shown: Sequence[MeasuredImage],
    heading: str,
    preprocessing: Normalization | None = None,
) -> Figure:
    """A row for each one: the image, the truth, the prediction, and the wrong pixels in red.

    Void is left without color; the errors show void black.
    """
    ratio = max((each.truth.shape[0] / each.truth.shape[1] for each in shown), default=0.6)
    present = _present(report, shown)
    lines = math.ceil(len(present) / 10)
    height = max(1, len(shown)) * (WIDTH * min(ratio, 1.5) + 0.35) + 0.6 + 0.3 * lines
    figure = Figure(figsize=(4 * WIDTH, height), layout="constrained")
    figure.suptitle(heading if shown else "no images")
    grid = figure.subplots(max(1, len(shown)), 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    colors = class_colors(len(report.class_names))
    for row, each in zip(grid, shown, strict=False):
        image = _read(each.path, each.truth.shape, preprocessing or Normalization())
        _row(row, image, each, colors, report.ignore_index)
    handles = [
        Patch(color=colors[label] / 255, label=shorten(report.class_names[label]))
        for label in present[:LEGEND_CLASSES]
    ]
    if handles:
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(10, len(handles)),
            frameon=False,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _row(
    row: Sequence[Axes],
    read: np.ndarray | None,
    each: MeasuredImage,
    colors: np.ndarray,
    ignore_index: int,
) -> None:
    image = _blank(each.truth.shape) if read is None else read
    void = each.truth == ignore_index
    wrong = (each.predicted != each.truth) & ~void
    errors = _gray(image)
    errors[wrong] = np.rint(errors[wrong] * (1 - OPACITY) + WRONG * OPACITY)
    errors[void] = 0
    miou = "all void" if math.isnan(each.miou) else f"mIoU {each.miou:.1%}"
    gone = " (image is gone)" if read is None else ""
    for axes, picture, title in zip(
        row,
        (
            image,
            _painted(image, each.truth, colors),
            _painted(image, each.predicted, colors),
            errors,
        ),
        (
            f"{shorten(each.path.name, 40)}{gone}",
            "truth",
            f"found: {miou}",
            f"{wrong.sum() / max(int((~void).sum()), 1):.1%} of the pixels wrong",
        ),
        strict=True,
    ):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=10, parse_math=False)


def _painted(image: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: colors of the classes over the image; other labels stay as they are."""
    known = labels < len(colors)
    mixed = np.rint(image * (1 - OPACITY) + colors[np.where(known, labels, 0)] * OPACITY)
    return np.where(known[:, :, None], mixed, image).astype(np.uint8)


def _gray(image: np.ndarray) -> np.ndarray:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _blank(shape_hw: tuple[int, ...]) -> np.ndarray:
    gray = tuple(int(GRAY[place : place + 2], 16) for place in (1, 3, 5))
    return np.full((*shape_hw, 3), gray, np.uint8)


def _present(report: SegmentationReport, shown: Sequence[MeasuredImage]) -> list[int]:
    labels = {int(v) for s in shown for v in (*np.unique(s.truth), *np.unique(s.predicted))}
    return sorted(label for label in labels if label < len(report.class_names))


def _read(path: Path, size_hw: tuple[int, ...], shown: Normalization) -> np.ndarray | None:
    """(h, w, 3) uint8 of the kept size; None for a file that is gone."""
    pixels = shown.read_picture(path)
    return None if pixels is None else resize_pixels(pixels, (size_hw[0], size_hw[1]), "bicubic")
