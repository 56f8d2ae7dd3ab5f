"""resize_linear: the numbers of OpenCV, from recorded images and, where installed, from itself."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from swinkit.images import resizing
from swinkit.images.resizing import resize_linear

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
    cv2 = pytest.importorskip("cv2", reason="OpenCV is no dependency, only a peer")
    if halve:
        height, width = 2 * new_height, 2 * new_width
    generator = np.random.default_rng(height * width)
    pixels = generator.integers(0, 256, (height, width, channels), dtype=np.uint8)
    expected = cv2.resize(pixels, (new_width, new_height)).reshape(new_height, new_width, channels)
    assert np.array_equal(resize_linear(pixels, (new_height, new_width)), expected)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    whole = resize_linear(pixels, (64, 50))
    monkeypatch.setattr(resizing, "BLOCK_PIXELS", 60)
    assert np.array_equal(resize_linear(pixels, (64, 50)), whole)


@given(side, side, side, side)
def test_one_colour_stays(height: int, width: int, new_height: int, new_width: int) -> None:
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
