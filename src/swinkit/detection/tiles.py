"""Objects found tile by tile, put together again.

Neighboring tiles overlap, so an object may be found twice, or cut by a tile's border, or cut by
the borders of all tiles that see it. What two tiles say about the strip that both see decides: two
boxes are one object where, cut to that strip, they agree.

Legend: N objects of all tiles, H W image.
"""

from collections.abc import Sequence

import numpy as np
import torch

from swinkit.detection.boxes.suppression import grouped_nms
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import ConfigError
from swinkit.images.masks import merge_masks, union_masks
from swinkit.settings import SizeHW

AGREEMENT = 0.5  # overlap (IoU) within the common strip from which two boxes are one object
CUT_SHARE = 0.01  # of a tile's side: a box that ends so near an inner border is cut by it
CUT_PIXELS = 2.0


def tile_boxes(size_hw: SizeHW, tile_hw: SizeHW, overlap: float) -> np.ndarray:
    """(T, 4) int64 x1, y1, x2, y2 of tiles that cover an image, spread evenly, row by row.

    Args:
        tile_hw: their size; a tile as large as the image is the image.
        overlap: share of a tile's side that neighbors have in common, at least.

    Raises:
        ConfigError: an overlap outside 0..0.9, or a tile below one pixel.
    """
    if not 0 <= overlap <= 0.9 or min(tile_hw) < 1:
        raise ConfigError(f"tile is {tile_hw} and overlap {overlap}; overlap lies in 0..0.9")
    spans = []
    for length, side in zip(size_hw, tile_hw, strict=True):
        side = min(side, length)
        common = round(side * overlap)
        number = max(1, -(-(length - common) // max(side - common, 1)))
        firsts = np.rint(np.linspace(0, length - side, number)).astype(np.int64)
        spans.append([(first, first + side) for first in firsts])
    return np.array(
        [(left, top, right, bottom) for top, bottom in spans[0] for left, right in spans[1]]
    )


def merge_tiles(
    parts: Sequence[Detections], tiles_xyxy: np.ndarray, size_hw: SizeHW, iou: float
) -> Detections:
    """The objects of an image from those of its tiles, best first.

    A box that a tile's border cuts gives way to an uncut one of the same object; where all are
    cut, they are joined, and so are their masks. What two tiles saw whole is suppressed as usual.

    Args:
        parts: of each tile, in its own pixels.
        tiles_xyxy: (T, 4) places of the tiles.
        size_hw: of the image.
        iou: overlap of boxes of one class above which the lower score goes.
    """
    counts = [len(part) for part in parts]
    tile = np.repeat(np.arange(len(parts)), counts)
    corners = tiles_xyxy[tile][:, [0, 1, 0, 1]]
    boxes = np.concatenate([part.boxes_xyxy for part in parts]).astype(np.float64) + corners
    scores = np.concatenate([part.scores for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    cut = _is_cut(boxes, tiles_xyxy[tile], size_hw)
    groups = _same_objects(boxes, labels, cut, tiles_xyxy, np.cumsum([0, *counts]))
    boxes, scores = _joined(boxes, scores, groups)
    labels = labels[[group[0] for group in groups]] if groups else labels[:0]
    kept = grouped_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels), iou
    ).numpy()
    found = Detections(
        class_names=parts[0].class_names,
        boxes_xyxy=boxes[kept],
        scores=scores[kept],
        labels=labels[kept],
        size_hw=size_hw,
        source=parts[0].source,
    )
    masks = [
        part.masks.with_offset(int(left), int(top), size_hw)
        for part, (left, top, _, _) in zip(parts, tiles_xyxy, strict=True)
        if isinstance(part, InstanceMasks)
    ]
    if not masks:
        return found
    together = merge_masks(masks, size_hw)
    return InstanceMasks(**vars(found), masks=union_masks(together, [groups[row] for row in kept]))


def _is_cut(boxes: np.ndarray, tiles: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    """(N,) whether a box ends at a border of its tile that is no border of the image."""
    sides = np.concatenate([tiles[:, 2:] - tiles[:, :2]] * 2, axis=1)
    near = np.abs(boxes - tiles) <= np.maximum(CUT_PIXELS, CUT_SHARE * sides)
    ends = np.array([0, 0, size_hw[1], size_hw[0]])
    return (near & (tiles != ends)).any(axis=1)


def _same_objects(
    boxes: np.ndarray,
    labels: np.ndarray,
    cut: np.ndarray,
    tiles_xyxy: np.ndarray,
    starts: np.ndarray,
) -> list[list[int]]:
    """Rows that are one object: uncut ones alone, cut ones that no uncut one stands for joined."""
    absorbed = np.zeros(len(boxes), bool)
    links: list[tuple[int, int]] = []
    for one, other in _neighbors(tiles_xyxy):
        first = np.arange(starts[one], starts[one + 1])
        second = np.arange(starts[other], starts[other + 1])
        strip = np.concatenate(
            (
                np.maximum(tiles_xyxy[one, :2], tiles_xyxy[other, :2]),
                np.minimum(tiles_xyxy[one, 2:], tiles_xyxy[other, 2:]),
            )
        )
        agree = _agree(boxes[first], boxes[second], strip)
        agree &= labels[first, None] == labels[second]
        for i, j in zip(*np.nonzero(agree), strict=True):
            row, partner = int(first[i]), int(second[j])
            if cut[row] and cut[partner]:
                links.append((row, partner))
            elif cut[row]:
                absorbed[row] = True
            elif cut[partner]:
                absorbed[partner] = True
    return _components(len(boxes), links, absorbed)


def _neighbors(tiles_xyxy: np.ndarray) -> list[tuple[int, int]]:
    low = np.maximum(tiles_xyxy[:, None, :2], tiles_xyxy[None, :, :2])
    high = np.minimum(tiles_xyxy[:, None, 2:], tiles_xyxy[None, :, 2:])
    one, other = np.nonzero(np.triu((high > low).all(axis=2), k=1))
    return list(zip(one.tolist(), other.tolist(), strict=True))


def _agree(first: np.ndarray, second: np.ndarray, strip: np.ndarray) -> np.ndarray:
    """(n, m) whether boxes, cut to a strip, overlap enough to be the same object there."""

    def clipped(boxes: np.ndarray) -> np.ndarray:
        return np.clip(boxes, strip[[0, 1, 0, 1]], strip[[2, 3, 2, 3]])

    def areas(boxes: np.ndarray) -> np.ndarray:
        return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)

    a, b = clipped(first)[:, None], clipped(second)[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = areas(np.concatenate((low, high), axis=-1))
    union = areas(a) + areas(b) - shared
    return shared > AGREEMENT * np.maximum(union, 1)


def _components(
    number: int, links: Sequence[tuple[int, int]], absorbed: np.ndarray
) -> list[list[int]]:
    parent = list(range(number))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in links:
        parent[root(other)] = root(one)
    # An uncut box stands for every fragment that is linked to one of its own.
    spoken_for = {root(row) for row in np.flatnonzero(absorbed).tolist()}
    groups: dict[int, list[int]] = {}
    for row in range(number):
        if root(row) not in spoken_for:
            groups.setdefault(root(row), []).append(row)
    return list(groups.values())


def _joined(
    boxes: np.ndarray, scores: np.ndarray, groups: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """The box around each group, and its best score."""
    around = np.empty((len(groups), 4))
    best = np.empty(len(groups), scores.dtype)
    for place, group in enumerate(groups):
        rows = list(group)
        around[place, :2] = boxes[rows, :2].min(axis=0)
        around[place, 2:] = boxes[rows, 2:].max(axis=0)
        best[place] = scores[rows].max()
    return around, best
