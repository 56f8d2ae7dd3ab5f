"""Drawn shapes: whole where they lie apart, more of them where crowded, the same for a seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo_shapes import MOST_OBJECTS, draw_shapes
from swinkit.detection.data.objects import tight_boxes

SIZE_HW = (64, 96)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_shapes_apart_are_seen_whole(seed: int) -> None:
    _, masks, labels = draw_shapes(np.random.default_rng(seed), SIZE_HW, "apart")
    assert 1 <= len(labels) <= MOST_OBJECTS["apart"]
    assert masks.sum(axis=0).max() == 1
    boxes = tight_boxes(masks)
    assert boxes[:, :2].min() >= 0
    assert (boxes[:, 2:] <= SIZE_HW[::-1]).all()
    # A whole circle, square or triangle fills a known part of the circle around it.
    long = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert (masks.sum(axis=(1, 2)) > 0.35 * long**2).all()


def test_crowded_shapes_are_more_and_pass_the_edge() -> None:
    many = cut = 0
    for seed in range(20):
        _, masks, _ = draw_shapes(np.random.default_rng(seed), SIZE_HW)
        boxes = tight_boxes(masks)
        cut += int((boxes[:, :2] == 0).any() or (boxes[:, 2:] == SIZE_HW[::-1]).any())
        many += int(len(masks) > MOST_OBJECTS["apart"])
    assert cut > 0
    assert many > 0


@pytest.mark.parametrize("spacing", ["crowded", "apart"])
def test_a_drawing_follows_the_seed(spacing: str) -> None:
    first = draw_shapes(np.random.default_rng(3), SIZE_HW, spacing)
    again = draw_shapes(np.random.default_rng(3), SIZE_HW, spacing)
    other = draw_shapes(np.random.default_rng(4), SIZE_HW, spacing)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
