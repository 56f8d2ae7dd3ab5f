"""Mixup, CutMix, label smoothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinkit.classification.data.mixing import MixupCutmix, soft_targets
from swinkit.classification.train_config import AugmentationConfig
from swinkit.errors import ConfigError


def batch(size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(size).float().reshape(size, 1, 1, 1).expand(size, 3, 8, 8), (
        torch.arange(size) % 4
    )


@given(st.integers(1, 9), st.integers(0, 1000), st.floats(0, 0.5))
def test_targets_are_probabilities(size: int, seed: int, smoothing: float) -> None:
    images, labels = batch(size)
    mixed, targets = MixupCutmix(4, label_smoothing=smoothing)(images, labels, seed=seed)
    assert mixed.shape == images.shape
    assert targets.shape == (size, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(size))
    assert targets.min() >= smoothing / 4 - 1e-6


def test_mixup_mixes_images_and_targets_alike() -> None:
    images, labels = batch()
    mixed, targets = MixupCutmix(4, cutmix_alpha=0, label_smoothing=0)(images, labels, seed=1)
    hard = soft_targets(labels, 4)
    share = (mixed[3, 0, 0, 0] - 2).item()  # image 3 holds threes, image 2 twos
    assert 0 < share < 1
    torch.testing.assert_close(mixed[3], torch.full((3, 8, 8), 2 + share))
    torch.testing.assert_close(targets[3], share * hard[3] + (1 - share) * hard[2])


def test_cutmix_targets_are_the_parts_of_the_area() -> None:
    images, labels = batch()
    for seed in range(10):
        mixed, targets = MixupCutmix(4, mixup_alpha=0, label_smoothing=0)(images, labels, seed=seed)
        assert set(mixed[3].unique().tolist()) <= {2.0, 3.0}
        share = (mixed[3, 0] == 3).float().mean()
        torch.testing.assert_close(targets[3, labels[3]], share)


def test_both_are_drawn() -> None:
    images, labels = batch()
    mix = MixupCutmix(4)
    blended = [
        bool(((mixed := mix(images, labels, seed=seed)[0]) != mixed.round()).any())
        for seed in range(60)
    ]
    assert 15 < sum(blended) < 45


def test_probability_and_off() -> None:
    images, labels = batch()
    for mix in (
        MixupCutmix(4, probability=0.0),
        MixupCutmix.from_config(AugmentationConfig(mixup_alpha=0, cutmix_alpha=0), 4),
    ):
        mixed, targets = mix(images, labels)
        assert torch.equal(mixed, images)
        torch.testing.assert_close(targets, soft_targets(labels, 4, 0.1))


def test_soft_targets_match_pytorch_cross_entropy() -> None:
    logits, labels = torch.randn(5, 7), torch.tensor([0, 6, 3, 3, 1])
    ours = torch.nn.functional.cross_entropy(logits, soft_targets(labels, 7, 0.1))
    theirs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(ours, theirs)


def test_a_seed_decides_alone_and_leaves_the_generator_untouched() -> None:
    images, labels = batch()
    images = images.clone()
    before = images.clone()
    state = torch.get_rng_state()
    first = MixupCutmix(4)(images, labels, seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    second = MixupCutmix(4)(images, labels, seed=7)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(images, before)
    MixupCutmix(4)(images, labels)
    assert not torch.equal(torch.get_rng_state(), state)


def test_no_classes() -> None:
    with pytest.raises(ConfigError, match="num_classes"):
        MixupCutmix(0)
