"""Pictures of an evaluated segmenter: labels beside the truth. H W image, h w kept label map."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from swinkit.errors import ImageError
from swinkit.images.preprocessing import resize_pixels
from swinkit.images.reading import read_image, to_8bit
from swinkit.pictures.drawing import class_colors
from swinkit.pictures.figures import GRAY, shorten
from swinkit.segmentation.evaluate.report import Scene, SegmentationReport

OPACITY = 0.6
WRONG = np.array([229, 62, 62])
LEGEND_CLASSES = 40
WIDTH = 4.2  # inches of one picture


def scenes(report: SegmentationReport, shown: Sequence[Scene], heading: str) -> Figure:
    """A row for each scene: the image, the truth, the answer, and the wrong pixels in red.

    Void is left without color; the errors show void black.
    """
    ratio = max((scene.truth.shape[0] / scene.truth.shape[1] for scene in shown), default=0.6)
    present = _present(report, shown)
    lines = math.ceil(len(present) / 10)
    height = max(1, len(shown)) * (WIDTH * min(ratio, 1.5) + 0.35) + 0.6 + 0.3 * lines
    figure = Figure(figsize=(4 * WIDTH, height), layout="constrained")
    figure.suptitle(heading if shown else "no images")
    grid = figure.subplots(max(1, len(shown)), 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    colors = class_colors(len(report.class_names))
    for row, scene in zip(grid, shown, strict=False):
        _row(row, scene, colors, report.ignore_index)
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


def _row(row: Sequence[Axes], scene: Scene, colors: np.ndarray, ignore_index: int) -> None:
    read = _read(scene.path, scene.truth.shape)
    image = _blank(scene.truth.shape) if read is None else read
    void = scene.truth == ignore_index
    wrong = (scene.predicted != scene.truth) & ~void
    errors = _gray(image)
    errors[wrong] = np.rint(errors[wrong] * (1 - OPACITY) + WRONG * OPACITY)
    errors[void] = 0
    miou = "all void" if math.isnan(scene.miou) else f"mIoU {scene.miou:.1%}"
    gone = " (image is gone)" if read is None else ""
    for axes, picture, title in zip(
        row,
        (
            image,
            _painted(image, scene.truth, colors),
            _painted(image, scene.predicted, colors),
            errors,
        ),
        (
            f"{shorten(scene.path.name, 40)}{gone}",
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


def _present(report: SegmentationReport, shown: Sequence[Scene]) -> list[int]:
    labels = {int(v) for s in shown for v in (*np.unique(s.truth), *np.unique(s.predicted))}
    return sorted(label for label in labels if label < len(report.class_names))


def _read(path: Path, size_hw: tuple[int, ...]) -> np.ndarray | None:
    """(h, w, 3) uint8 of the kept size; None for a file that is gone or has other bands."""
    try:
        pixels = to_8bit(read_image(path))
    except ImageError:
        return None
    return resize_pixels(pixels, (size_hw[0], size_hw[1]), "bicubic")
