"""Boxes and masks go where their image goes; after any step a box fits its mask."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo_shapes import draw_shapes
from swinkit.detection.data.objects import Objects, tight_boxes
from swinkit.images.fitting import resize_nearest


def shapes(seed: int, size_hw: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, Objects]:
    """A picture whose first channel is the number of the object on top, for tracing pixels."""
    _, masks, labels = draw_shapes(np.random.default_rng(seed), size_hw)
    numbers = (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(axis=0)
    image = np.repeat(numbers[:, :, None], 3, axis=2).astype(np.uint8)
    objects = Objects(
        boxes_xyxy=tight_boxes(masks),
        labels=labels,
        is_crowd=np.zeros(len(labels), bool),
        masks=masks.astype(np.uint8),
        size_hw=size_hw,
    )
    return image, objects


def assert_tight(objects: Objects) -> None:
    assert objects.masks is not None
    assert objects.masks.shape == (len(objects), *objects.size_hw)
    real = ~objects.is_crowd
    np.testing.assert_array_equal(objects.boxes_xyxy[real], tight_boxes(objects.masks[real]))


def test_tight_boxes() -> None:
    masks = np.zeros((3, 5, 7), np.uint8)
    masks[0, 1:3, 2:6] = 1
    masks[1, 4, 6] = 1
    assert tight_boxes(masks).tolist() == [[2, 1, 6, 3], [6, 4, 7, 5], [0, 0, 0, 0]]
    assert tight_boxes(np.zeros((0, 5, 7), np.uint8)).shape == (0, 4)


@pytest.mark.parametrize("name", ["mirrored", "flipped", "transposed"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_turns_move_boxes_and_masks_as_the_image(name: str, seed: int) -> None:
    image, objects = shapes(seed)
    moved = getattr(objects, name)()
    turned = {
        "mirrored": image[:, ::-1],
        "flipped": image[::-1],
        "transposed": image.swapaxes(0, 1),
    }
    numbers = turned[name][:, :, 0]
    assert moved.size_hw == numbers.shape
    for number, mask in enumerate(moved.masks, start=1):
        np.testing.assert_array_equal(numbers == number, mask.astype(bool))
    assert_tight(moved)
    back = getattr(moved, name)()
    np.testing.assert_array_equal(back.boxes_xyxy, objects.boxes_xyxy)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_a_cut_box_is_the_tight_box_of_its_cut_mask(
    seed: int, corners: tuple[float, float, float, float]
) -> None:
    image, objects = shapes(seed)
    left, right = sorted(int(c * 60) for c in corners[:2])
    top, bottom = sorted(int(c * 44) for c in corners[2:])
    window = (left, top, right + 4, bottom + 4)
    cut = objects.cropped(window, min_visible=0.2)
    part = image[top : bottom + 4, left : right + 4, 0]
    assert cut.size_hw == part.shape
    assert_tight(cut)
    seen = set(np.unique(part)) - {0}
    numbers = {int(part[mask.astype(bool)][0]) for mask in cut.masks if mask.any()}
    assert numbers == seen


def test_little_that_is_left_is_ignored() -> None:
    masks = np.zeros((2, 20, 20), np.uint8)
    masks[0, 0:10, 0:10] = 1
    masks[1, 12:20, 12:20] = 1
    objects = Objects(
        boxes_xyxy=tight_boxes(masks),
        labels=np.array([0, 1]),
        is_crowd=np.zeros(2, bool),
        masks=masks,
        size_hw=(20, 20),
    )
    cut = objects.cropped((8, 0, 20, 20), min_visible=0.3)
    assert cut.is_crowd.tolist() == [True, False]
    assert objects.cropped((8, 0, 20, 20), min_visible=0.1).is_crowd.tolist() == [False, False]
    without = replace(objects, masks=None).cropped((8, 0, 20, 20), min_visible=0.3)
    assert without.is_crowd.tolist() == [True, False]
    assert without.boxes_xyxy.tolist() == [[0, 0, 2, 10], [4, 12, 12, 20]]
    assert len(objects.cropped((10, 0, 20, 10), min_visible=0.1)) == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.6, 2.7))
def test_a_resized_box_keeps_to_its_mask(seed: int, scale: float) -> None:
    _, objects = shapes(seed)
    size_hw = (round(48 * scale), round(64 * scale))
    resized = objects.resized(size_hw)
    assert objects.masks is not None
    assert resized.masks is not None
    full = resized.masks.any(axis=(1, 2))
    most = 1 if scale >= 1 else 2
    tight, around = tight_boxes(resized.masks), resized.boxes_xyxy
    # Enlarging repeats every pixel; shrinking can lose what is one pixel thin, and no more.
    inner = around if scale >= 1 else without_thin(objects).resized(size_hw).boxes_xyxy
    full &= (inner[:, 2:] > inner[:, :2]).all(axis=1)
    outside = np.concatenate([around[:, :2] - tight[:, :2], tight[:, 2:] - around[:, 2:]], 1)
    lost = np.concatenate([tight[:, :2] - inner[:, :2], inner[:, 2:] - tight[:, 2:]], 1)
    assert (outside[full] <= most + 1e-3).all()
    assert (lost[full] <= most + 1e-3).all()


def without_thin(objects: Objects) -> Objects:
    """Only pixels of squares of 2x2, and the boxes around them."""
    assert objects.masks is not None
    masks = objects.masks
    squares = masks[:, 1:, 1:] & masks[:, :-1, 1:] & masks[:, 1:, :-1] & masks[:, :-1, :-1]
    kept = np.zeros_like(masks)
    for rows in (slice(1, None), slice(-1)):
        for columns in (slice(1, None), slice(-1)):
            kept[:, rows, columns] |= squares
    return replace(objects, boxes_xyxy=tight_boxes(kept), masks=kept)


def test_nearest_pixels_when_doubled_and_halved() -> None:
    masks = np.random.default_rng(0).integers(0, 2, (2, 6, 5), np.uint8)
    doubled = resize_nearest(masks, (12, 10))
    np.testing.assert_array_equal(doubled, masks.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(resize_nearest(doubled, (6, 5)), masks)


def test_covered_objects() -> None:
    masks = np.zeros((4, 10, 10), np.uint8)
    masks[0, 0:4, 0:4] = 1
    masks[1, 0:4, 5:9] = 1
    masks[2, 6:9, 0:8] = 1
    masks[3, 9, 9] = 1
    objects = Objects(
        boxes_xyxy=tight_boxes(masks),
        labels=np.arange(4),
        is_crowd=np.zeros(4, bool),
        masks=masks,
        size_hw=(10, 10),
    )
    cover = np.zeros((10, 10), bool)
    cover[0:4, 0:6] = True  # all of 0, a quarter of 1
    cover[6:9, 1:] = True  # seven eighths of 2
    left = objects.covered(cover, min_visible=0.2)
    assert left.labels.tolist() == [1, 2, 3]
    assert left.is_crowd.tolist() == [False, True, False]
    assert left.boxes_xyxy.tolist()[0] == [6, 0, 9, 4]
    assert_tight(left)
    boxes = replace(objects, masks=None).covered(cover, min_visible=0.2)
    assert boxes.labels.tolist() == [1, 2, 3]
    assert boxes.boxes_xyxy.tolist()[0] == [5, 0, 9, 4]
    assert boxes.is_crowd.tolist() == [False, True, False]
