"""Tiles: they cover everything, and what they find is what the whole image holds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.detection.result import Detections, InstanceMasks
from swinkit.detection.tiles import merge_tiles, tile_boxes
from swinkit.errors import ConfigError

NAMES = ("a", "b")
side = st.integers(1, 300)


@settings(deadline=None)
@given(side, side, st.integers(8, 200), st.integers(8, 200), st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_overlap(
    height: int, width: int, tile_height: int, tile_width: int, overlap: float
) -> None:
    tiles = tile_boxes((height, width), (tile_height, tile_width), overlap)
    seen = np.zeros((height, width), bool)
    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (bottom - top, right - left) == (min(tile_height, height), min(tile_width, width))
        seen[top:bottom, left:right] = True
    assert seen.all()
    lefts = np.unique(tiles[:, 0])
    if len(lefts) > 1:
        common = tile_width - np.diff(lefts)
        assert common.min() >= round(tile_width * overlap) - 1


def test_a_tile_as_large_as_the_image_is_the_image() -> None:
    assert tile_boxes((30, 40), (30, 40), 0.2).tolist() == [[0, 0, 40, 30]]
    assert tile_boxes((30, 40), (100, 100), 0.2).tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize(("tile_hw", "overlap"), [((0, 5), 0.2), ((5, 5), 0.95), ((5, 5), -0.1)])
def test_refuses_impossible_tiles(tile_hw: tuple[int, int], overlap: float) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        tile_boxes((30, 40), tile_hw, overlap)


def seen_by_tiles(objects: np.ndarray, labels: np.ndarray, tiles: np.ndarray) -> list[Detections]:
    """What a perfect detector finds in each tile: the visible part of every object."""
    parts = []
    for tile in tiles:
        boxes = np.clip(objects, tile[[0, 1, 0, 1]], tile[[2, 3, 2, 3]])
        there = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
        found = (boxes - tile[[0, 1, 0, 1]])[there].astype(np.float32)
        size_hw = (int(tile[3] - tile[1]), int(tile[2] - tile[0]))
        masks = np.zeros((len(found), *size_hw), bool)
        for mask, (left, top, right, bottom) in zip(masks, found.astype(int), strict=True):
            mask[top:bottom, left:right] = True
        scores = np.linspace(0.9, 0.5, len(found), dtype=np.float32)
        parts.append(InstanceMasks(NAMES, found, scores, labels[there], size_hw, masks=masks))
    return parts


@st.composite
def apart(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles that lie apart, one in each cell of a grid or across several columns."""
    boxes, labels = [], []
    for row in range(3):
        column = 0
        while column < 4:
            cells = draw(st.integers(1, 4 - column))
            if draw(st.booleans()):
                left, top = (
                    50 * column + draw(st.integers(4, 20)),
                    60 * row + draw(st.integers(4, 20)),
                )
                right = 50 * (column + cells) - draw(st.integers(4, 20))
                boxes.append((left, top, right, top + draw(st.integers(8, 35))))
                labels.append(draw(st.integers(0, 1)))
            column += cells
    return np.array(boxes).reshape(-1, 4), np.array(labels, np.int64)


@settings(max_examples=80, deadline=None)
@given(apart(), st.integers(60, 140), st.integers(60, 140), st.floats(0.25, 0.5))
def test_objects_cut_by_tiles_are_whole_again(
    objects: tuple[np.ndarray, np.ndarray], tile_height: int, tile_width: int, overlap: float
) -> None:
    boxes, labels = objects
    size_hw = (180, 200)
    tiles = tile_boxes(size_hw, (tile_height, tile_width), overlap)
    merged = merge_tiles(seen_by_tiles(boxes, labels, tiles), tiles, size_hw, 0.5)
    expected = sorted((*box, label) for box, label in zip(boxes.tolist(), labels, strict=True))
    got = sorted(
        (*box, label) for box, label in zip(merged.boxes_xyxy.tolist(), merged.labels, strict=True)
    )
    assert got == expected
    assert isinstance(merged, InstanceMasks)
    assert sorted(merged.masks.area) == sorted(
        (right - left) * (bottom - top) for left, top, right, bottom in boxes.tolist()
    )


def test_neighbors_of_one_class_stay_two() -> None:
    # Both touch the inner border of the first tile from either side of the strip.
    objects = np.array([[10, 10, 78, 40], [84, 10, 150, 40]])
    tiles = tile_boxes((50, 180), (50, 100), 0.2)
    merged = merge_tiles(
        seen_by_tiles(objects, np.zeros(2, np.int64), tiles), tiles, (50, 180), 0.5
    )
    assert sorted(merged.boxes_xyxy.tolist()) == objects.tolist()


def test_classes_are_not_mixed() -> None:
    tiles = tile_boxes((50, 180), (50, 100), 0.2)
    left = Detections(NAMES, np.array([[60, 10, 100, 40]]), [0.9], [0], (50, 100))
    right = Detections(NAMES, np.array([[0, 10, 60, 40]]), [0.8], [1], (50, 100))
    assert len(merge_tiles([left, right], tiles, (50, 180), 0.5)) == 2
    same = replace(right, labels=np.array([0]))
    joined = merge_tiles([left, same], tiles, (50, 180), 0.5)
    assert joined.boxes_xyxy.tolist() == [[60, 10, 140, 40]]
    assert joined.scores.tolist() == pytest.approx([0.9])


def test_nothing_found_anywhere() -> None:
    tiles = tile_boxes((50, 180), (50, 100), 0.2)
    nothing = Detections(NAMES, np.zeros((0, 4)), np.zeros(0), np.zeros(0), (50, 100))
    assert len(merge_tiles([nothing, nothing], tiles, (50, 180), 0.5)) == 0
