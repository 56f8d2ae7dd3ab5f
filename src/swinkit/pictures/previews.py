"""A training batch of a detector or segmenter with its truth drawn on it.

Legend: C channels, H W map, G objects, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from swinkit.images.masks import compact_masks
from swinkit.pictures.annotating import draw_objects
from swinkit.pictures.drawing import class_colors
from swinkit.pictures.figures import shorten

MOST_IMAGES = 8
MOST_NAMES = 24  # classes that a legend has room for
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
    return _grid(pictures, titles)


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
    figure = _grid(pictures, titles)
    handles = [
        Patch(color=colors[label] / 255, label=shorten(class_names[label]))
        for label in present[:MOST_NAMES]
    ]
    if handles:
        columns = min(8, len(handles))
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            fontsize=8,
            frameon=False,
        )
    return figure


def _three(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else image[:, :, :1].repeat(3, axis=2)


def _grid(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> Figure:
    columns = min(4, max(1, len(pictures)))
    rows = max(1, math.ceil(len(pictures) / columns))
    figure = Figure(figsize=(4.0 * columns, 3.4 * rows + 0.8), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, picture, title in zip(figure.axes, pictures, titles, strict=False):
        axes.imshow(picture)
        axes.set_title(title, fontsize=8)
    figure.suptitle(HEADING)
    return figure
