"""Compact masks: the same masks, few bytes, COCO's own run lengths."""

import pickle
import tracemalloc

import numpy as np
import pytest
import supervision  # noqa: F401  # imported late by what is tested, within a deadline
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from swinkit.errors import SwinkitError
from swinkit.images.masks import compact_masks, merge_masks, place_crops, to_coco, union_masks

some_masks = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 11)))


@given(some_masks)
def test_packs_and_unpacks(masks: np.ndarray) -> None:
    packed = compact_masks(masks)
    assert len(packed) == len(masks)
    assert np.array_equal(packed.to_dense(), masks)
    assert np.array_equal(np.asarray(packed), masks)
    assert np.array_equal(packed.area, masks.sum(axis=(1, 2)))
    assert all(np.array_equal(one, mask) for one, mask in zip(packed, masks, strict=True))


@settings(max_examples=200)
@given(some_masks)
def test_run_lengths_are_cocos(masks: np.ndarray) -> None:
    packed = compact_masks(masks)
    for number, mask in enumerate(masks):
        expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert to_coco(packed, number)["counts"] == expected["counts"].decode()
        assert to_coco(packed, number)["size"] == list(mask.shape)


def test_rows_keep_their_order() -> None:
    masks = np.eye(3, dtype=bool)[:, None].repeat(2, axis=1)
    packed = compact_masks(masks)
    assert np.array_equal(packed[[2, 0]].to_dense(), masks[[2, 0]])
    assert np.array_equal(packed[1:].to_dense(), masks[1:])
    assert compact_masks(packed) is packed


def test_tiles_are_placed_and_joined() -> None:
    tile = compact_masks(np.ones((2, 3, 4), bool))
    placed = tile.with_offset(6, 5, (20, 30))
    other = tile.with_offset(9, 7, (20, 30))
    expected = np.zeros((20, 30), bool)
    expected[5:8, 6:10] = True
    assert np.array_equal(placed[0], expected)
    joined = union_masks(merge_masks([placed, other], (20, 30)), [[0, 2], [1]])
    assert np.array_equal(joined[1], expected)
    expected[7:10, 9:13] = True
    assert np.array_equal(joined[0], expected)


def test_no_masks_of_an_image() -> None:
    none = merge_masks([], (5, 6))
    assert none.shape == (0, 5, 6)
    assert union_masks(none, []).shape == place_crops([], [], (5, 6)).shape == (0, 5, 6)
    assert none.to_dense().shape == (0, 5, 6)


@given(some_masks.filter(lambda masks: len(masks) > 0), st.data())
def test_unions_of_any_groups(masks: np.ndarray, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, len(masks) - 1), min_size=1)
    groups = data.draw(st.lists(numbers, max_size=3))
    expected = [masks[group].any(axis=0) for group in groups]
    unions = union_masks(compact_masks(masks), groups)
    assert np.array_equal(unions.to_dense(), np.reshape(expected, (-1, *masks.shape[1:])))


def test_many_masks_of_a_huge_image_stay_small() -> None:
    size_hw = (6000, 8000)
    crop = np.ones((120, 90), bool)
    corners = [(50 * number, 60 * number) for number in range(100)]
    tracemalloc.start()
    packed = place_crops([crop] * 100, corners, size_hw)
    codes = [to_coco(packed, number) for number in range(100)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # a hundred arrays of the image would be 4.8e9
    assert len(pickle.dumps(packed)) < 100 * 120 * 90 // 8
    assert all(area == 120 * 90 for area in packed.area)
    assert codes[3]["size"] == [6000, 8000]


def test_refuses_what_leaves_the_image() -> None:
    with pytest.raises(SwinkitError, match="leaves its image of 4x4"):
        place_crops([np.ones((3, 3), bool)], [(2, 0)], (4, 4))
    with pytest.raises(SwinkitError, match=r"\(N, H, W\)"):
        compact_masks(np.ones((3, 3), bool))
