"""Items for training and evaluation, and their batches."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes import blocks, flat, index_mask

from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.errors import ConfigError, ImageError
from swinkit.images.fitting import Fit
from swinkit.segmentation.data.dataset import (
    SegmentationDataset,
    SegmentationTransform,
    collate_segmentation,
)
from swinkit.segmentation.data.masks import IGNORE
from swinkit.segmentation.data.splits import load_segmentation
from swinkit.segmentation.train_config import SegmentationAugmentation

PLAIN = Fit(short_side=None, long_side=None, divisor=1)


def marked(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel is its label, in large blocks."""
    labels = np.kron(np.arange(12).reshape(3, 4), np.ones((height // 3, width // 4))).astype(
        np.uint8
    )
    return np.stack([labels * 20, labels, labels], -1), labels


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), crop=st.tuples(st.integers(8, 70), st.integers(8, 70)))
def test_masks_follow_their_images(seed: int, crop: tuple[int, int]) -> None:
    config = SegmentationAugmentation(
        crop_hw=crop, vertical_flip=0.5, photometric_probability=0, dominance=1
    )
    image, labels = SegmentationTransform(config, PLAIN)(
        marked(48, 60), np.random.default_rng(seed)
    )
    assert image.shape[:2] == labels.shape
    assert labels.shape[0] <= crop[0]
    assert labels.shape[1] <= crop[1]
    # Inside the blocks, away from edges that bilinear resizing blurs, color and label agree.
    clear = np.ones(labels.shape, bool)
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            clear &= np.roll(labels, step, axis) == labels
    clear[:2] = clear[-2:] = clear[:, :2] = clear[:, -2:] = False
    assert (np.abs(image[..., 0] / 20 - labels)[clear] < 0.6).all()


def test_the_scale_is_relative_to_the_models_size() -> None:
    config = SegmentationAugmentation(scale=(0.5, 2))
    transform = SegmentationTransform(config, Fit(short_side=24, long_side=None))
    assert transform.scaled_size((48, 60), 1.0) == (24, 30)
    assert transform.scaled_size((48, 60), 2.0) == (48, 60)


def test_no_class_dominates_where_that_can_be() -> None:
    labels = np.zeros((40, 400), np.uint8)
    labels[:, 300:] = 1
    labels[:, :20] = IGNORE
    image = np.zeros((40, 400, 3), np.uint8)
    config = SegmentationAugmentation(
        crop_hw=(40, 60), scale=(1, 1), photometric_probability=0, dominance=0.75
    )
    transform, free = SegmentationTransform(config, PLAIN), 0
    for seed in range(40):
        _, crop = transform((image, labels), np.random.default_rng(seed))
        counts = np.bincount(crop.reshape(-1), minlength=256)[:2]
        free += counts.max() < 0.75 * counts.sum()
    assert free > 15  # one crop in ten would be by chance
    uniform = np.zeros((40, 400), np.uint8)
    assert transform((image, uniform), np.random.default_rng(0))[1].shape == (40, 60)


def test_training_items_have_the_crops_size_with_void_around(tmp_path: Path) -> None:
    splits = load_segmentation(DataConfig(path=flat(tmp_path)))
    augmentation = SegmentationAugmentation(crop_hw=(40, 48))
    dataset = SegmentationDataset(splits.train, PLAIN, augmentation, seed=3)
    image, labels, index = dataset[1]
    assert index == 1
    assert image.shape == (3, 40, 48)
    assert image.dtype == torch.float32
    assert labels.shape == (40, 48)
    assert labels.dtype == torch.int64
    assert (labels[-1] == IGNORE).all()
    assert (image[:, -1] == 0).all()
    again = SegmentationDataset(splits.train, PLAIN, augmentation, seed=3)[1]
    assert torch.equal(again[0], image)
    dataset.set_epoch(1)
    assert not torch.equal(dataset[1][0], image)


def test_evaluation_items_are_as_prediction_prepares_them(tmp_path: Path) -> None:
    splits = load_segmentation(DataConfig(path=flat(tmp_path)))
    fit = Fit(short_side=20, long_side=None)
    image, labels, _ = SegmentationDataset(splits.val, fit)[0]
    pixels = np.asarray(Image.open(splits.val[0].path))
    assert image.shape == (3, 32, 32), "padded to a multiple of 32"
    assert torch.equal(image, torch.from_numpy(fit(pixels).values))
    assert np.array_equal(labels.numpy(), blocks(pixels.shape[:2])), "in the original pixels"


def test_batches_are_padded_with_void(tmp_path: Path) -> None:
    items = [
        (torch.ones(3, 4, 6), torch.zeros(8, 12, dtype=torch.long), 7),
        (torch.ones(3, 5, 3), torch.zeros(10, 6, dtype=torch.long), 2),
    ]
    images, labels, indices = collate_segmentation(items)
    assert images.shape == (2, 3, 5, 6)
    assert labels.shape == (2, 10, 12)
    assert indices.tolist() == [7, 2]
    assert (labels[0, 8:] == IGNORE).all()
    assert (labels[1, :, 6:] == IGNORE).all()
    assert (labels == 0).sum() == 96 + 60
    assert images.sum() == 3 * (24 + 15)
    splits = load_segmentation(DataConfig(path=flat(tmp_path)))
    dataset = SegmentationDataset(splits.train, PLAIN, SegmentationAugmentation(crop_hw=(16, 16)))
    loader = build_loader(dataset, batch_size=2, shuffle=True, collate=collate_segmentation)
    assert next(iter(loader))[0].shape == (2, 3, 16, 16)


def test_a_mask_that_changes_after_loading(tmp_path: Path) -> None:
    splits = load_segmentation(DataConfig(path=flat(tmp_path)))
    index_mask(splits.train[0].mask_path, blocks((12, 20)))
    with pytest.raises(ImageError, match="the mask is 12x20"):
        SegmentationDataset(splits.train, PLAIN, on_bad_image="refuse")[0]
    dataset = SegmentationDataset(splits.train, PLAIN)
    assert dataset[0][2] == 1
    assert dataset.bad_samples() == [splits.train[0]]


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_hw": (0, 5)},
        {"crop_hw": (5,)},
        {"scale": (2.0, 0.5)},
        {"scale": (0.0, 0.5)},
        {"dominance": 0.0},
        {"horizontal_flip": 1.5},
        {"photometric_strength": -1.0},
    ],
)
def test_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        SegmentationAugmentation(**changes)


def test_settings_need_no_pytorch() -> None:
    code = (
        "import sys; import swinkit.segmentation.train_config, swinkit.segmentation.data.files; "
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
