"""Which kind of segmentation data set lies in a folder, found by looking."""

from dataclasses import dataclass
from pathlib import Path

from swinkit.errors import DataError
from swinkit.segmentation.data.folders import Pairs, find_pairs
from swinkit.segmentation.data.legend import Entry, find_legend, read_legend
from swinkit.segmentation.data.published import (
    Known,
    ade20k,
    find_cityscapes,
    find_coco,
    looks_like_ade20k,
)

PAIRED = 0.5  # part of the images that must have a mask before a folder is taken for masks
LOOKED_FOR = (
    "folders of images and masks (images/train beside masks/train, train/images beside "
    "train/masks, train beside train_labels, JPEGImages beside SegmentationClass), x.jpg beside "
    "x_mask.png, ADE20K, Cityscapes (leftImg8bit beside gtFine), COCO panoptic or semantic"
)


@dataclass(frozen=True, eq=False)
class Layout:
    """A recognised data set.

    Attributes:
        kind: "masks", "ade20k", "cityscapes", "coco-panoptic" or "coco-semantic".
        pairs: images with masks.
        known: the meaning of the masks, where the kind tells it.
        legend: the data set's own class list, or None.
    """

    kind: str
    pairs: Pairs
    known: Known | None = None
    legend: tuple[Entry, ...] | None = None


def find_layout(path: Path) -> Layout | None:
    """The segmentation data set at `path`; None where there is none.

    Raises:
        DataError: files that are recognised but unreadable.
    """
    if not path.is_dir():
        return None
    cityscapes = find_cityscapes(path)
    if cityscapes is not None:
        return Layout("cityscapes", cityscapes.pairs, cityscapes)
    coco = find_coco(path)
    if coco is not None:
        return Layout(coco[0], coco[1].pairs, coco[1])
    pairs = find_pairs(path)
    if pairs.count() == 0:
        return None
    if looks_like_ade20k(path, pairs):
        return Layout("ade20k", pairs, ade20k(pairs))
    file = find_legend(path)
    return Layout("masks", pairs, None, None if file is None else read_legend(file))


def looks_like_masks(path: Path) -> bool:
    """Whether a folder is a segmentation data set rather than another kind.

    Raises:
        DataError: as `find_layout`.
    """
    layout = find_layout(path)
    if layout is None:
        return False
    paired = layout.pairs.count()
    return paired >= PAIRED * (paired + len(layout.pairs.without_mask))


def require_layout(path: Path) -> Layout:
    """`find_layout`, where there must be one.

    Raises:
        DataError: nothing there, or no image with a mask in it; says what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder; check the path")
    layout = find_layout(path)
    if layout is None or layout.pairs.count() == 0:
        raise DataError(f"{path}: no images with masks found; looked for {LOOKED_FOR}")
    return layout
