"""PackedMasks: the same masks, few bytes, COCO's own run lengths."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from swinkit.errors import SwinkitError
from swinkit.images.masks import PackedMasks

some_masks = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 11)))


@given(some_masks)
def test_packs_and_unpacks(masks: np.ndarray) -> None:
    packed = PackedMasks.of(masks)
    assert len(packed) == len(masks)
    assert np.array_equal(packed.dense(), masks)
    assert np.array_equal(np.asarray(packed), masks)
    assert np.array_equal(packed.areas, masks.sum(axis=(1, 2)))
    assert all(np.array_equal(one, mask) for one, mask in zip(packed, masks, strict=True))


@settings(max_examples=200)
@given(some_masks)
def test_run_lengths_are_cocos(masks: np.ndarray) -> None:
    packed = PackedMasks.of(masks)
    for number, mask in enumerate(masks):
        expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert packed.to_coco(number)["counts"] == expected["counts"].decode()
        assert packed.to_coco(number)["size"] == list(mask.shape)


def test_rows_keep_their_order() -> None:
    masks = np.eye(3, dtype=bool)[:, None].repeat(2, axis=1)
    packed = PackedMasks.of(masks)
    assert np.array_equal(packed.rows([2, 0]).dense(), masks[[2, 0]])
    assert np.array_equal(packed[1:].dense(), masks[1:])
    assert PackedMasks.of(packed) is packed


def test_tiles_are_placed_and_joined() -> None:
    tile = PackedMasks.of(np.ones((2, 3, 4), bool))
    placed = tile.placed((5, 6), (20, 30))
    other = tile.placed((7, 9), (20, 30))
    expected = np.zeros((20, 30), bool)
    expected[5:8, 6:10] = True
    assert np.array_equal(placed[0], expected)
    both = PackedMasks(
        [placed.crop(0)[0], other.crop(0)[0]], [placed.crop(0)[1], other.crop(0)[1]], (20, 30)
    )
    joined = both.joined([[0, 1]])
    expected[7:10, 9:13] = True
    assert np.array_equal(joined[0], expected)


@given(some_masks.filter(lambda masks: len(masks) > 0), st.integers(1, 20), st.integers(1, 20))
def test_scaled_picks_the_pixel_under_each_centre(
    masks: np.ndarray, height: int, width: int
) -> None:
    rows = ((np.arange(height) + 0.5) * (masks.shape[1] / height)).astype(int)
    columns = ((np.arange(width) + 0.5) * (masks.shape[2] / width)).astype(int)
    expected = masks[:, rows[:, None], columns]
    assert np.array_equal(PackedMasks.of(masks).scaled((height, width)), expected)


def test_many_masks_of_a_huge_image_stay_small() -> None:
    size_hw = (6000, 8000)
    crop = np.ones((120, 90), bool)
    corners = [(50 * number, 60 * number) for number in range(100)]
    tracemalloc.start()
    packed = PackedMasks([crop] * 100, corners, size_hw)
    codes = [packed.to_coco(number) for number in range(100)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # a hundred arrays of the image would be 4.8e9
    assert packed.nbytes == 100 * 120 * 90 // 8
    assert all(area == 120 * 90 for area in packed.areas)
    assert codes[3]["size"] == [6000, 8000]


def test_refuses_what_leaves_the_image() -> None:
    with pytest.raises(SwinkitError, match="leaves its image of 4x4"):
        PackedMasks([np.ones((3, 3), bool)], [(2, 0)], (4, 4))
    with pytest.raises(SwinkitError, match=r"\(N, H, W\)"):
        PackedMasks.of(np.ones((3, 3), bool))
