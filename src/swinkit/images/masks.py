"""Masks of many objects on one image, as supervision's CompactMask. N objects, H W image.

A hundred masks of an image of 8000 by 6000 pixels take 5 GB as an array; a CompactMask holds the
run lengths inside each object's box. What it lacks stands here: crops put at places of an image,
unions of groups, and COCO's run lengths without a mask of the whole image.

supervision is imported where it is used: it takes as long to import as half of torch.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swinkit.errors import SwinkitError, require
from swinkit.settings import SizeHW

if TYPE_CHECKING:
    from supervision.detection.compact_mask import CompactMask


def compact_masks(masks: "CompactMask | np.ndarray | Sequence[np.ndarray]") -> "CompactMask":
    """From anything like an array (N, H, W), non-zero meaning inside; compact ones as they are.

    Raises:
        SwinkitError: another shape.
    """
    if isinstance(masks, _compact_mask()):
        return masks
    values = np.asarray(masks)
    if values.ndim != 3:
        raise SwinkitError(f"masks: expected shape (N, H, W), got {values.shape}")
    size_hw = (values.shape[1], values.shape[2])
    return place_crops((mask != 0 for mask in values), [(0, 0)] * len(values), size_hw)


def place_crops(
    crops: Iterable[np.ndarray], corners_yx: Sequence[tuple[int, int]], size_hw: SizeHW
) -> "CompactMask":
    """Masks of an image, each given by the part that holds all of its object.

    Args:
        crops: N arrays (h, w) bool; read one by one.
        corners_yx: where in the image the first pixel of each crop lies.
        size_hw: of the image.

    Raises:
        SwinkitError: a crop that leaves the image.
    """
    kind, boxes_of = _compact_mask(), require("supervision").mask_to_xyxy
    height, width = int(size_hw[0]), int(size_hw[1])
    parts = []
    for crop, (top, left) in zip(crops, corners_yx, strict=True):
        bottom, right = top + crop.shape[0], left + crop.shape[1]
        if min(top, left) < 0 or bottom > height or right > width:
            raise SwinkitError(
                f"a mask at rows {top}..{bottom} and columns {left}..{right} leaves its image "
                f"of {height}x{width} pixels (height x width)"
            )
        one = np.asarray(crop, bool)[None]
        tight = kind.from_dense(one, boxes_of(one), (crop.shape[0], crop.shape[1]))
        parts.append(tight.with_offset(int(left), int(top), (height, width)))
    return merge_masks(parts, (height, width))


def merge_masks(parts: Sequence["CompactMask"], size_hw: SizeHW) -> "CompactMask":
    """The masks of all parts, one after the other; also of no parts."""
    kind, none = _compact_mask(), np.empty((0, 2), np.int32)
    return kind.merge([kind([], none, none, size_hw), *parts])


def _compact_mask() -> "type[CompactMask]":
    found: type[CompactMask] = require("supervision.detection.compact_mask").CompactMask
    return found


def union_masks(masks: "CompactMask", groups: Sequence[Sequence[int]]) -> "CompactMask":
    """One mask for each group of numbers: the union of theirs."""
    crops, corners = [], []
    for group in groups:
        parts = masks[list(group)]
        boxes = parts.bbox_xyxy
        left, top = boxes[:, :2].min(axis=0)
        right, bottom = boxes[:, 2:].max(axis=0)
        union = np.zeros((bottom - top + 1, right - left + 1), bool)
        for number, (x, y) in enumerate(parts.offsets - (left, top)):
            crop = parts.crop(number)
            union[y : y + crop.shape[0], x : x + crop.shape[1]] |= crop
        crops.append(union)
        corners.append((int(top), int(left)))
    return place_crops(crops, corners, masks.shape[1:])


def run_lengths(masks: "CompactMask", number: int) -> list[int]:
    """COCO's counts: pixels column by column, outside first, then inside, in turns."""
    crop = masks.crop(number)
    left, top = (int(start) for start in masks.offsets[number])
    height, width = masks.shape[1:]
    edges = np.zeros((crop.shape[1], crop.shape[0] + 1), np.int8)  # w h+1: column by column
    edges[:, :-1] = crop.T
    edges[:, 1:] -= crop.T.view(np.int8)
    columns, rows = np.nonzero(edges)
    places = (columns + left) * height + rows + top  # starts and ends of runs, in turns
    # A run that reaches the bottom goes on where the next column starts with one.
    meets = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate((meets, meets + 1)))
    counts = np.diff(places, prepend=0, append=height * width).tolist()
    return counts if counts[-1] or len(counts) == 1 else counts[:-1]


def to_coco(masks: "CompactMask", number: int) -> dict[str, Any]:
    """One mask as COCO's compressed run lengths: {"size": [H, W], "counts": text}."""
    # Its C code writes the text; only this needs it.
    from faster_coco_eval.core import mask as coco_mask

    size = list(masks.shape[1:])
    counts = coco_mask.frPyObjects({"size": size, "counts": run_lengths(masks, number)}, *size)
    return {"size": size, "counts": counts["counts"].decode("ascii")}
