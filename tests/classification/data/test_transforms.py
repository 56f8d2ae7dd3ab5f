"""Training and evaluation transforms."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import ToTensor, v2

from swinkit.classification.data.dataset import (
    EvalTransform,
    SpreadRandAugment,
    TrainTransform,
    train_transform,
)
from swinkit.classification.train_config import AugmentationConfig
from swinkit.data.augmentation import crop_and_flip
from swinkit.data.loading import fixed_random
from swinkit.errors import ImageError
from swinkit.images.preprocessing import Preprocessing

FULL = AugmentationConfig(color_jitter=0.4, vertical_flip=0.5, erasing_probability=0.5)


def noise(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    values = np.random.default_rng(0).random((height, width, channels))
    return (values * {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)).astype(dtype)


def prepare(channels: int = 3, size: tuple[int, int] = (24, 32)) -> Preprocessing:
    return Preprocessing(size_hw=size, mean=(0.5,) * channels, std=(0.25,) * channels)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 70),
    st.integers(4, 70),
    st.sampled_from([1, 2, 3, 6]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.integers(0, 1000),
)
def test_any_image_gives_a_normalised_tensor(
    height: int, width: int, channels: int, dtype: type, seed: int
) -> None:
    transform = train_transform(FULL, prepare(channels))
    with fixed_random(seed):
        values = transform(noise(height, width, channels, dtype))
    assert values.shape == (channels, 24, 32)
    assert values.dtype == torch.float32
    assert values.isfinite().all()


def test_without_erasing_values_stay_in_the_range_of_pixels() -> None:
    config = dataclasses.replace(FULL, erasing_probability=0.0)
    for channels, dtype in ((3, np.uint8), (6, np.float32), (1, np.uint16)):
        transform = train_transform(config, prepare(channels))
        for seed in range(20):
            with fixed_random(seed):
                values = transform(noise(40, 40, channels, dtype))
            assert values.min() >= -2
            assert values.max() <= 2


def test_bands_are_never_treated_as_colors() -> None:
    config = dataclasses.replace(
        AugmentationConfig.off(), rand_augment_ops=5, rand_augment_probability=1.0
    )
    pixels = np.full((16, 16, 6), 0.3, np.float32)
    values = TrainTransform(config, prepare(6))(pixels)
    # Brightness and a gain for each band are all that changes an even image.
    torch.testing.assert_close(values, values[:, :1, :1].expand(6, 24, 32))
    assert (values + 0.8).abs().max() < 0.3 * 0.12 / 0.25


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_normalized_as_torchvision_does(channels: int) -> None:
    config = dataclasses.replace(AugmentationConfig.off(), crop_scale=(0.2, 0.9))
    preprocessing = prepare(channels)
    pixels = noise(40, 50, channels)
    mean, std = list(preprocessing.mean), list(preprocessing.std)
    theirs = v2.Compose(
        [
            v2.ToPILImage(),
            *crop_and_flip(config, preprocessing.size_hw),
            ToTensor(),
            v2.Normalize(mean, std),
        ]
    )
    with fixed_random(1):
        expected = theirs(pixels)
    with fixed_random(1):
        assert torch.equal(TrainTransform(config, preprocessing)(pixels), expected)


def test_fine_images_keep_their_precision_without_color_operations() -> None:
    config = dataclasses.replace(AugmentationConfig.off(), horizontal_flip=1.0)
    pixels = np.full((16, 16, 1), 1000, np.uint16)
    values = TrainTransform(config, prepare(1))(pixels)
    torch.testing.assert_close(values, torch.full((1, 24, 32), (1000 / 65535 - 0.5) / 0.25))


def test_nothing_to_vary_means_evaluation() -> None:
    transform = train_transform(AugmentationConfig.off(), prepare())
    assert isinstance(transform, EvalTransform)
    pixels = noise(50, 60, 3)
    expected = torch.from_numpy(prepare()(pixels))
    assert torch.equal(transform(pixels), expected)
    assert torch.equal(EvalTransform(prepare())(pixels), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"horizontal_flip": 1.0},
        {"vertical_flip": 1.0},
        {"rand_augment_ops": 4},
        {"color_jitter": 0.4},
        {"erasing_probability": 1.0},
        {"crop_scale": (0.1, 0.3)},
    ],
)
def test_each_switch_does_something(changes: dict) -> None:
    plain = dataclasses.replace(AugmentationConfig.off(), horizontal_flip=0.0)
    baseline = TrainTransform(plain, prepare(size=(32, 32)))
    transform = TrainTransform(dataclasses.replace(plain, **changes), prepare(size=(32, 32)))
    pixels = noise(32, 32, 3)
    with fixed_random(1):
        expected = baseline(pixels)
    with fixed_random(1):
        assert not torch.equal(transform(pixels), expected)


def test_flip_is_a_flip() -> None:
    config = dataclasses.replace(AugmentationConfig.off(), horizontal_flip=1.0)
    pixels = noise(32, 32, 3)
    values = TrainTransform(config, prepare(size=(32, 32)))(pixels)
    whole = dataclasses.replace(prepare(size=(32, 32)), resize="squash")
    assert torch.equal(values, torch.from_numpy(whole(pixels[:, ::-1])))


def test_rand_augment_applies_each_operation_at_its_chance() -> None:
    augment = SpreadRandAugment(AugmentationConfig(interpolation="bilinear"), [0, 0, 0])
    image = torch.from_numpy(noise(16, 16, 3)).permute(2, 0, 1).contiguous()
    same = 0
    for _ in range(400):
        same += augment(image) is image
    assert 60 < same < 145  # a quarter of them draw no operation


def test_the_same_seed_gives_the_same_tensor_and_survives_pickling() -> None:
    transform = train_transform(FULL, prepare())
    pixels = noise(40, 40, 3)
    with fixed_random(5):
        first = transform(pixels)
    with fixed_random(5):
        second = pickle.loads(pickle.dumps(transform))(pixels)
    assert torch.equal(first, second)


def test_wrong_images_are_refused() -> None:
    transform = train_transform(FULL, prepare())
    with pytest.raises(ImageError, match="5 channels"):
        transform(noise(20, 20, 5))
    with pytest.raises(ImageError, match="smaller than one"):
        transform(noise(2, 20, 3))
