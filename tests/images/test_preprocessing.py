"""Preprocessing against torchvision's transforms on Pillow images, and other kinds of input."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from swinkit.errors import ConfigError, ImageError
from swinkit.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, resize_pixels


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def official(pixels: np.ndarray, size: int, resized: object, interpolation: str) -> np.ndarray:
    mode = "L" if pixels.shape[2] == 1 else "RGB"
    count = pixels.shape[2]
    pipeline = transforms.Compose(
        [
            transforms.Resize(resized, interpolation=InterpolationMode(interpolation)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN[:count], IMAGENET_STD[:count]),
        ]
    )
    return pipeline(Image.fromarray(pixels.squeeze()).convert(mode)).numpy()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 300),
    st.integers(4, 300),
    st.sampled_from([32, 56, 75, 224]),
    st.sampled_from([0.875, 0.9, 1.0]),
    st.sampled_from(["bicubic", "bilinear", "nearest", "lanczos"]),
)
def test_crop_equals_torchvision_bit_for_bit(
    height: int, width: int, size: int, fraction: float, interpolation: str
) -> None:
    pixels = noise(height, width)
    ours = Preprocessing(size_hw=(size, size), crop_fraction=fraction, interpolation=interpolation)
    expected = official(pixels, size, int(size / fraction), interpolation)
    np.testing.assert_array_equal(ours(pixels), expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 200), st.integers(4, 200))
def test_squash_equals_torchvision_bit_for_bit(height: int, width: int) -> None:
    pixels = noise(height, width)
    ours = Preprocessing(size_hw=(64, 64), resize="squash")
    np.testing.assert_array_equal(ours(pixels), official(pixels, 64, (64, 64), "bicubic"))


def test_one_channel_equals_torchvision_on_gray_images() -> None:
    pixels = noise(70, 91, 1)
    ours = Preprocessing(size_hw=(48, 48), mean=IMAGENET_MEAN[:1], std=IMAGENET_STD[:1])
    np.testing.assert_array_equal(ours(pixels), official(pixels, 48, 54, "bicubic"))


def test_result_is_contiguous_float32_that_torch_takes() -> None:
    for mode in ("crop", "squash", "pad"):
        values = Preprocessing(size_hw=(32, 40), resize=mode)(noise(50, 60))
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert torch.from_numpy(values).shape == (3, 32, 40)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(4, 120), st.integers(4, 120)),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from(["crop", "squash", "pad"]),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.bool_]),
    st.sampled_from([1, 2, 3, 6]),
    st.floats(0.5, 1),
)
def test_any_size_type_and_number_of_bands(
    present: tuple, size: tuple, mode: str, dtype: type, bands: int, fraction: float
) -> None:
    values = np.random.default_rng(0).random((*present, bands))
    scale = {np.uint8: 255, np.uint16: 65535, np.bool_: 1.9}.get(dtype, 1)
    ours = Preprocessing(
        size_hw=size, resize=mode, crop_fraction=fraction, mean=(0.5,) * bands, std=(0.25,) * bands
    )
    answer = ours((values * scale).astype(dtype))
    assert answer.shape == (bands, *size)
    assert np.isfinite(answer).all()
    assert answer.min() >= -2 - 1e-5
    assert answer.max() <= 2 + 1e-5


def test_bands_are_resampled_as_rgb_is() -> None:
    pixels = noise(57, 83)
    six = np.concatenate([pixels, pixels], axis=2)
    rgb = resize_pixels(pixels, (30, 41), "bicubic")
    np.testing.assert_array_equal(resize_pixels(six, (30, 41), "bicubic")[:, :, 3:], rgb)


def test_float_and_uint16_agree_with_uint8_up_to_its_rounding() -> None:
    pixels = noise(60, 80) // np.uint8(2) + np.uint8(64)  # away from 0 and 255: no clipping
    ours = Preprocessing(size_hw=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    expected = ours(pixels)
    assert np.abs(ours(pixels / np.float32(255)) - expected).max() < 1.6 / 255
    assert np.abs(ours(pixels.astype(np.uint16) * np.uint16(257)) - expected).max() < 1.6 / 255


def test_gray_becomes_three_equal_channels_and_rgb_becomes_luma() -> None:
    plain = {"size_hw": (8, 8), "resize": "squash"}
    gray = Preprocessing(**plain, mean=(0, 0, 0), std=(1, 1, 1))(noise(8, 8, 1)[:, :, 0])
    np.testing.assert_array_equal(gray[0], gray[1])
    np.testing.assert_array_equal(gray[0], gray[2])
    pixels = noise(8, 8)
    one = Preprocessing(**plain, mean=(0,), std=(1,))(pixels)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(np.rint(one[0] * 255).astype(np.uint8), expected)


def test_pad_keeps_the_whole_image_and_fills_with_the_mean() -> None:
    ours = Preprocessing(size_hw=(40, 40), resize="pad")
    values = ours(np.full((20, 40, 3), 255, np.uint8))
    assert (values[:, :10] == 0).all()
    assert (values[:, 30:] == 0).all()
    assert (values[:, 10:30] > 1).all()


def test_non_square_crop_covers_and_keeps_the_aspect() -> None:
    ours = Preprocessing(size_hw=(28, 56), crop_fraction=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    ramp = np.repeat(np.linspace(0, 1, 200, dtype=np.float32)[:, None], 100, axis=1)
    values = ours(ramp)
    # 200x100 covers 28x56 at 112x56; the middle 28 rows of 112 span a quarter of the ramp.
    assert np.ptp(values[0]) == pytest.approx(0.25, abs=0.02)
    assert values[0].mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((3, 50, 3), np.uint8), "smaller than one 4x4 patch"),
        (np.zeros((50, 3), np.uint8), "smaller than one 4x4 patch"),
        (np.zeros((0, 5, 3), np.uint8), "with pixels"),
        (np.zeros((9, 9, 2), np.uint8), "2 channels, but the model takes 3"),
        (np.zeros((3, 9, 9), np.uint8), "transpose"),
        (np.full((9, 9, 3), np.nan, np.float32), "NaN"),
        (np.full((9, 9, 3), np.inf, np.float32), "NaN or infinite"),
        (np.full((9, 9, 3), 200.0, np.float32), "scale them to 0..1"),
        (np.zeros((9, 9, 3), np.int64), "int64"),
        (np.zeros((9, 9, 3, 1), np.uint8), r"\(9, 9, 3, 1\)"),
    ],
)
def test_refuses_by_name_in_one_line(pixels: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        Preprocessing()(pixels, name="strange.png")
    assert str(caught.value).startswith("strange.png: ")
    assert "\n" not in str(caught.value)


def test_for_size_follows_the_published_evaluation() -> None:
    assert Preprocessing.for_size(224) == Preprocessing()
    assert Preprocessing.for_size(384).resize == "squash"
    assert Preprocessing.for_size((256, 512)).size_hw == (256, 512)
    assert Preprocessing.for_size(256, crop=False).resize == "squash"
    assert Preprocessing.for_size(64, channels=5).channels == 5


def test_survives_json() -> None:
    ours = Preprocessing(size_hw=(100, 50), resize="pad", mean=(0.5,), std=(0.1,))
    assert Preprocessing.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours
    with pytest.raises(ConfigError, match="sharpen"):
        Preprocessing.from_dict({"sharpen": True})


@pytest.mark.parametrize(
    "changes",
    [
        {"size_hw": (0, 4)},
        {"size_hw": (4, 4, 4)},
        {"size_hw": (4.5, 4)},
        {"resize": "zoom"},
        {"interpolation": "magic"},
        {"crop_fraction": 0.0},
        {"crop_fraction": 1.5},
        {"mean": (0.5,)},
        {"std": (0.0, 1.0, 1.0)},
        {"mean": (float("nan"), 0, 0)},
        {"mean": (), "std": ()},
    ],
)
def test_refuses_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        Preprocessing(**changes)


def test_restore_undoes_normalisation() -> None:
    ours = Preprocessing(size_hw=(16, 16), resize="squash")
    pixels = noise(16, 16)
    np.testing.assert_array_equal(ours.restore(ours(pixels)), pixels)


def test_images_package_does_not_import_torch() -> None:
    code = (
        "import sys, swinkit.images.preprocessing, swinkit.images.sources;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
