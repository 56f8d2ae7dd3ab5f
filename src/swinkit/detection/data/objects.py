"""Objects that follow their image: cut, resized, mirrored, turned, covered.

Legend: G objects, H W map.
"""

from dataclasses import dataclass, replace

import numpy as np

from swinkit.images.fitting import resize_nearest
from swinkit.settings import SizeHW

THINNEST = 1.0  # pixels; what is left of an object at an edge and thinner than this is ignored


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """The objects of one image.

    Attributes:
        boxes_xyxy: (G, 4) float32.
        labels: (G,) int64.
        is_crowd: (G,) bool: regions to ignore.
        masks: (G, H, W) uint8, or None.
        size_hw: of the image.
        box_only: (G,) bool: objects among others with masks, whose mask is their rectangle.
    """

    boxes_xyxy: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    masks: np.ndarray | None
    size_hw: SizeHW
    box_only: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Objects":
        """Only some of them; `rows` are indices or a mask."""
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[rows],
            labels=self.labels[rows],
            is_crowd=self.is_crowd[rows],
            masks=None if self.masks is None else self.masks[rows],
            box_only=None if self.box_only is None else self.box_only[rows],
        )

    def joined(self, other: "Objects") -> "Objects":
        """These and those of another image of the same size."""
        both = self.masks is not None and other.masks is not None
        marked = self.box_only is not None and other.box_only is not None
        return replace(
            self,
            boxes_xyxy=np.concatenate([self.boxes_xyxy, other.boxes_xyxy]),
            labels=np.concatenate([self.labels, other.labels]),
            is_crowd=np.concatenate([self.is_crowd, other.is_crowd]),
            masks=np.concatenate([self.masks, other.masks]) if both else None,
            box_only=np.concatenate([self.box_only, other.box_only]) if marked else None,
        )

    def cropped(self, window_xyxy: tuple[int, int, int, int], min_visible: float) -> "Objects":
        """What lies in a window, which becomes the image.

        Objects outside are dropped. A box that is cut becomes the tight box of what is left of the
        mask; of a box alone, what lies inside. An object of which less than `min_visible` of the
        area (or less than one pixel across) is left becomes a region to ignore.
        """
        left, top, right, bottom = window_xyxy
        shift = np.array([left, top, left, top], np.float32)
        limits = np.array([right - left, bottom - top] * 2, np.float32)
        moved = self.boxes_xyxy - shift
        boxes = np.clip(moved, 0, limits)
        cut = (boxes != moved).any(axis=1)
        visible = box_areas(boxes) / np.maximum(box_areas(moved), 1e-6)
        masks = None
        if self.masks is not None:
            masks = self.masks[:, top:bottom, left:right]
            boxes, visible = _recut(self.masks, masks, boxes, visible, cut & ~self.is_crowd)
        sides = boxes[:, 2:] - boxes[:, :2]
        inside = np.asarray((sides > 0).all(axis=1))
        slight = cut & ((visible < min_visible) | (sides < THINNEST).any(axis=1))
        changed = replace(
            self,
            boxes_xyxy=boxes,
            is_crowd=self.is_crowd | slight,
            masks=masks,
            size_hw=(bottom - top, right - left),
        )
        return changed if inside.all() else changed.take(np.flatnonzero(inside))

    def resized(self, size_hw: SizeHW) -> "Objects":
        """Scaled with the image; masks by the nearest pixel."""
        if size_hw == self.size_hw:
            return self
        scale_w, scale_h = size_hw[1] / self.size_hw[1], size_hw[0] / self.size_hw[0]
        scale = np.array([scale_w, scale_h, scale_w, scale_h], np.float32)
        masks = None if self.masks is None else resize_nearest(self.masks, size_hw)
        return replace(self, boxes_xyxy=self.boxes_xyxy * scale, masks=masks, size_hw=size_hw)

    def mirrored(self) -> "Objects":
        """Left and right swapped."""
        boxes = self.boxes_xyxy.copy()
        boxes[:, [0, 2]] = self.size_hw[1] - self.boxes_xyxy[:, [2, 0]]
        masks = None if self.masks is None else self.masks[:, :, ::-1]
        return replace(self, boxes_xyxy=boxes, masks=masks)

    def flipped(self) -> "Objects":
        """Top and bottom swapped."""
        boxes = self.boxes_xyxy.copy()
        boxes[:, [1, 3]] = self.size_hw[0] - self.boxes_xyxy[:, [3, 1]]
        masks = None if self.masks is None else self.masks[:, ::-1]
        return replace(self, boxes_xyxy=boxes, masks=masks)

    def transposed(self) -> "Objects":
        """Rows and columns swapped: with a mirroring, a turn by 90 degrees."""
        masks = None if self.masks is None else self.masks.transpose(0, 2, 1)
        size_hw = (self.size_hw[1], self.size_hw[0])
        return replace(
            self, boxes_xyxy=self.boxes_xyxy[:, [1, 0, 3, 2]], masks=masks, size_hw=size_hw
        )

    def covered(self, cover: np.ndarray, min_visible: float) -> "Objects":
        """Without what lies under `cover` (H, W) bool. Objects wholly under it are dropped, those
        with less than `min_visible` left become regions to ignore. Boxes without masks stay, as
        part of them may still be seen, unless too little is left."""
        if len(self) == 0 or not cover.any():
            return self
        if self.masks is None:
            left = 1 - _covered_part(self.boxes_xyxy, cover)
            kept = replace(self, is_crowd=self.is_crowd | (left < min_visible))
            return kept.take(left > 0)
        masks = self.masks * ~cover
        before = self.masks.sum(axis=(1, 2), dtype=np.int64)
        after = masks.sum(axis=(1, 2), dtype=np.int64)
        touched = after < before
        boxes = self.boxes_xyxy.copy()
        rows = np.flatnonzero(touched & (after > 0) & ~self.is_crowd)
        boxes[rows] = tight_boxes(masks[rows])
        slight = touched & (after < min_visible * before)
        kept = replace(self, boxes_xyxy=boxes, is_crowd=self.is_crowd | slight, masks=masks)
        return kept.take((after > 0) | self.is_crowd)


def tight_boxes(masks: np.ndarray) -> np.ndarray:
    """(G, 4) float32 boxes around the pixels of masks (G, H, W); zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), np.float32)
    if masks.size == 0:
        return boxes
    for axis, (low, high) in ((1, (0, 2)), (2, (1, 3))):
        used = np.asarray(masks.any(axis=axis))  # G W, then G H
        some = used.any(axis=1)
        boxes[:, low] = used.argmax(axis=1)
        boxes[:, high] = np.where(some, used.shape[1] - used[:, ::-1].argmax(axis=1), 0)
    return boxes


def box_areas(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(G,) pixels."""
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clip(0).prod(axis=1)


def _recut(
    before: np.ndarray, after: np.ndarray, boxes: np.ndarray, visible: np.ndarray, cut: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and visible parts of cut objects from their masks."""
    rows = np.flatnonzero(cut)
    boxes, visible = boxes.copy(), visible.copy()
    tight = tight_boxes(after[rows])
    # The stated box can be tighter than the pixels by a fraction of one.
    boxes[rows] = np.where(tight.any(axis=1, keepdims=True), _intersect(boxes[rows], tight), 0)
    full = before[rows].sum(axis=(1, 2), dtype=np.int64)
    left = after[rows].sum(axis=(1, 2), dtype=np.int64)
    visible[rows] = left / np.maximum(full, 1)
    return boxes, visible


def _intersect(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])], axis=1
    )


def _covered_part(boxes_xyxy: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(G,) part of each box that lies under `cover` (H, W) bool."""
    height, width = cover.shape
    table = np.zeros((height + 1, width + 1), np.int64)
    table[1:, 1:] = cover.cumsum(0).cumsum(1)
    low = np.floor(boxes_xyxy[:, :2]).astype(np.int64).clip(0, (width - 1, height - 1))
    high = np.ceil(boxes_xyxy[:, 2:]).astype(np.int64).clip(1, (width, height))
    (x0, y0), (x1, y1) = low.T, high.T
    inside = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    return inside / np.maximum((x1 - x0) * (y1 - y0), 1)
