"""resize_linear: the numbers that OpenCV gave the reference; resize_nearest: no new labels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from swinkit.images.fitting import resize_linear, resize_nearest

CASES = ("mm_maskrcnn_case1", "mm_cascade_case1", "mm_htc_case1", "mm_upernet_case1")


@pytest.mark.parametrize("case", CASES)
def test_equals_the_recorded_resize(golden_dir: Path, case: str) -> None:
    tensors = load_file(golden_dir / f"{case}.safetensors")
    expected = tensors["input.resized_bgr_u8"]
    assert np.array_equal(resize_linear(tensors["input.raw_bgr_u8"], expected.shape[:2]), expected)


side = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(side, side, side, side, st.sampled_from((1, 2, 3, 4, 5)), st.booleans())
def test_equals_opencv(
    height: int, width: int, new_height: int, new_width: int, channels: int, halve: bool
) -> None:
    if halve:
        height, width = 2 * new_height, 2 * new_width
    generator = np.random.default_rng(height * width)
    pixels = generator.integers(0, 256, (height, width, channels), dtype=np.uint8)
    expected = cv2.resize(pixels, (new_width, new_height)).reshape(new_height, new_width, channels)
    assert np.array_equal(resize_linear(pixels, (new_height, new_width)), expected)


@given(side, side, side, side)
def test_one_color_stays(height: int, width: int, new_height: int, new_width: int) -> None:
    for pixels in (np.full((height, width, 3), 201, np.uint8), np.full((height, width, 1), 0.5)):
        answer = resize_linear(pixels.astype(pixels.dtype), (new_height, new_width))
        assert answer.shape == (new_height, new_width, pixels.shape[2])
        np.testing.assert_allclose(answer, pixels[0, 0, 0], rtol=1e-6)


def test_floats_lie_between_their_neighbours() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, :, None].repeat(4, 0)
    answer = resize_linear(ramp, (4, 33))
    assert answer.dtype == np.float32
    assert (np.diff(answer[0, :, 0]) >= 0).all()
    assert answer.min() == 0
    assert answer.max() == 1


def test_the_same_size_is_the_same_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert resize_linear(pixels, (9, 7)) is pixels


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_any_number_of_bands(kind: type) -> None:
    pixels = (np.random.default_rng(0).random((20, 30, 300)) * 255).astype(kind)
    answer = resize_linear(pixels, (9, 17))
    assert answer.dtype == kind
    for band in (0, 127, 128, 299):
        expected = cv2.resize(pixels[:, :, band], (17, 9))
        np.testing.assert_allclose(answer[:, :, band], expected, rtol=1e-5)


@given(st.tuples(side, side), st.tuples(side, side))
def test_each_label_is_the_one_under_its_center(
    size_hw: tuple[int, int], new_hw: tuple[int, int]
) -> None:
    labels = np.arange(size_hw[0] * size_hw[1], dtype=np.uint16).reshape(size_hw)
    resized = resize_nearest(labels, new_hw)
    assert resized.dtype == np.uint16
    centers = [(np.arange(new) + 0.5) * old / new for old, new in zip(size_hw, new_hw, strict=True)]
    rows, columns = (np.full(new_hw, centers[0][:, None]), np.full(new_hw, centers[1]))
    # A center between two pixels may take either.
    assert (np.abs(resized // size_hw[1] + 0.5 - rows) <= 0.5 + 1e-3).all()
    assert (np.abs(resized % size_hw[1] + 0.5 - columns) <= 0.5 + 1e-3).all()
    doubled = resize_nearest(labels, (2 * size_hw[0], 2 * size_hw[1]))
    assert np.array_equal(doubled, labels.repeat(2, 0).repeat(2, 1))


def test_masks_follow_one_by_one() -> None:
    masks = np.random.default_rng(0).integers(0, 2, (3, 7, 8)).astype(np.uint8)
    expected = [resize_nearest(mask, (11, 5)) for mask in masks]
    assert np.array_equal(resize_nearest(masks, (11, 5)), expected)
    assert resize_nearest(masks[:0], (11, 5)).shape == (0, 11, 5)
