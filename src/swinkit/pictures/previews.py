"""A training batch of a detector or segmenter with its truth drawn on it.

Legend: C channels, H W map, G objects, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from swinkit.images.masks import compact_masks
from swinkit.pictures.annotating import draw_objects
from swinkit.pictures.drawing import class_colors
from swinkit.pictures.figures import image_grid

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
    return image if image.shape[2] == 3 else image[:, :, :1].repeat(3, axis=2)
