"""Fit: OpenMMLab's numbers, every kind of size, and its way into a file and back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from swinkit.errors import ConfigError, ImageError
from swinkit.images.fitting import Fit, scaled_size

GOLDEN = {
    "mm_maskrcnn_case1": Fit(short_side=200, long_side=283),
    "mm_cascade_case1": Fit(short_side=173, long_side=400),
    "mm_htc_case1": Fit(short_side=161, long_side=400),
    "mm_upernet_case1": Fit(short_side=153, long_side=400, divisor=1),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_equals_the_recorded_input(golden_dir: Path, case: str) -> None:
    tensors = load_file(golden_dir / f"{case}.safetensors")
    meta = json.loads((golden_dir / f"{case}.json").read_text())["img_metas"]
    fitted = GOLDEN[case](tensors["input.raw_bgr_u8"][..., ::-1])
    assert np.array_equal(fitted.values, tensors["input.image"][0])
    assert list(fitted.size_hw) == meta["img_shape"]
    assert list(fitted.original_hw) == meta["ori_shape"]
    assert list(fitted.scale_wh) == meta["scale_factor"]


@given(st.integers(4, 3000), st.integers(4, 3000))
def test_sides_stay_within_their_limits(height: int, width: int) -> None:
    new = Fit(short_side=480, long_side=800).size_for((height, width))
    assert min(new) <= 480
    assert max(new) <= 800
    assert min(new) == 480 or max(new) == 800


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        (Fit(short_side=None, long_side=None), (30, 61)),
        (Fit(short_side=15, long_side=None), (15, 31)),
        (Fit(short_side=None, long_side=122), (60, 122)),
        (Fit(short_side=60, long_side=61), (30, 61)),
    ],
)
def test_either_side_may_be_free(fit: Fit, expected: tuple[int, int]) -> None:
    fitted = fit(np.zeros((30, 61, 3), np.uint8))
    assert fitted.size_hw == expected
    assert all(length % 32 == 0 for length in fitted.values.shape[1:])


def test_views_of_a_further_scale_are_mmsegs(golden_dir: Path) -> None:
    tensors = load_file(golden_dir / "mm_upernet_case1.safetensors")
    image = tensors["input.raw_bgr_u8"][..., ::-1]
    fit = Fit(short_side=None, long_side=None, divisor=1)
    for number, ratio in enumerate((0.75, 1.0, 1.25)):
        fitted = fit(image, size_hw=fit.size_for(image.shape[:2], ratio))
        assert np.array_equal(fitted.values, tensors[f"input.tta.{number}"][0])
    assert Fit(short_side=512, long_side=2048).size_for((720, 960), 0.5) == (256, 341)


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        (Fit(short_side=800, long_side=1333), 400, (400, 666)),
        (Fit(short_side=512, long_side=None), 300, (300, None)),
        (Fit(short_side=None, long_side=1000), 500, (500, 500)),
        (Fit(short_side=800, long_side=1333), "original", (None, None)),
    ],
)
def test_another_size(fit: Fit, size: int, expected: tuple) -> None:
    other = fit.of_size(size)
    assert (other.short_side, other.long_side) == expected
    assert (other.divisor, other.mean) == (fit.divisor, fit.mean)


def test_a_thread_of_an_image_keeps_a_pixel() -> None:
    assert scaled_size((4, 4000), 0.01) == (1, 40)


def test_padding_is_the_mean_color_and_restore_undoes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    fit = Fit(short_side=None, long_side=None, divisor=16)
    fitted = fit(image)
    assert fitted.values.shape == (3, 32, 48)
    assert (fitted.values[:, 20:] == 0).all()
    assert (fitted.values[:, :, 40:] == 0).all()
    assert np.array_equal(fit.restore(fitted.values)[:20, :40], image)


def test_floats_and_gray_mean_the_same_as_bytes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 1), dtype=np.uint8)
    fit = Fit(short_side=40, long_side=None)
    whole = fit(image).values
    assert np.abs(fit(image.astype(np.float32) / 255).values - whole).max() < 0.02
    assert np.array_equal(fit(image[:, :, 0]).values, whole)


def test_other_bands_get_the_average_color() -> None:
    fit = Fit(short_side=None, long_side=None).for_channels(5)
    assert fit.channels == 5
    assert fit.mean[0] == pytest.approx(0.449, abs=1e-3)
    assert fit(np.zeros((8, 8, 5), np.uint8)).values.shape == (5, 32, 32)
    assert Fit().for_channels(3) == Fit()


def test_through_json_and_back() -> None:
    fit = Fit(short_side=640, long_side=None, mean=(0.1,), std=(0.2,))
    values = json.loads(json.dumps(fit.to_dict()))
    assert Fit.from_dict(values) == fit
    with pytest.raises(ConfigError, match="blur"):
        Fit.from_dict({**values, "blur": 1})


@pytest.mark.parametrize(
    "changes",
    [{"short_side": 0}, {"divisor": 0}, {"mean": (0.5,)}, {"std": (0.1, 0.0, 0.1)}],
)
def test_refuses_impossible_settings(changes: dict) -> None:
    with pytest.raises(ConfigError):
        Fit(**changes)


def test_refuses_what_is_no_image() -> None:
    with pytest.raises(ImageError, match="smaller than one"):
        Fit()(np.zeros((3, 9, 3), np.uint8))
    with pytest.raises(ImageError, match="2 channels"):
        Fit()(np.zeros((9, 9, 2), np.uint8))
