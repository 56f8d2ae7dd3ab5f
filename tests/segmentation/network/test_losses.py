"""Each loss against its definition, written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError, DataError
from swinkit.segmentation.config import SegmentationLossConfig
from swinkit.segmentation.network.losses import (
    cross_entropy,
    dice,
    hard_pixels,
    labeled_pixels,
    lovasz_softmax,
    segmentation_losses,
)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    logits = torch.randn(2, 4, 5, 6, requires_grad=True)
    labels = torch.randint(0, 3, (2, 5, 6))  # class 3 never occurs
    labels[0, :2] = 255
    return logits, labels


def test_cross_entropy_counts_labeled_or_all_pixels(batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    labeled = cross_entropy(logits, labels, SegmentationLossConfig())
    everything = cross_entropy(logits, labels, SegmentationLossConfig(average="all"))
    assert torch.allclose(labeled, F.cross_entropy(logits, labels, ignore_index=255))
    share = (labels != 255).float().mean()
    assert torch.allclose(everything, labeled * share)


def test_class_weights(batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    weights = (1.0, 0.0, 3.0, 2.0)
    ours = cross_entropy(logits, labels, SegmentationLossConfig(class_weights=weights))
    theirs = F.cross_entropy(logits, labels, torch.tensor(weights), ignore_index=255)
    assert torch.allclose(ours, theirs)
    with pytest.raises(ConfigError, match="2 class_weights for a model of 4"):
        cross_entropy(logits, labels, SegmentationLossConfig(class_weights=(1.0, 2.0)))


@pytest.mark.parametrize(("threshold", "least"), [(0.3, 1), (0.01, 7), (0.9, 1), (0.5, 10**6)])
def test_hard_pixels(batch: tuple[Tensor, Tensor], threshold: float, least: int) -> None:
    logits, labels = batch
    config = SegmentationLossConfig(ohem_threshold=threshold, ohem_least=least)
    hard = hard_pixels(logits, labels, config)
    truth = logits.softmax(1).gather(1, labels.clamp(max=3)[:, None])[:, 0]
    labeled = labels != 255
    assert not (hard & ~labeled).any()
    wanted = max(int((truth[labeled] < threshold).sum()), min(least, int(labeled.sum())))
    assert int(hard.sum()) == wanted
    assert truth[hard].max() <= truth[labeled & ~hard].min() if wanted < labeled.sum() else True
    ours = cross_entropy(logits, labels, config)
    assert torch.allclose(ours, -truth[hard].log().mean(), atol=1e-6)


def test_dice(batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    probabilities, truth = labeled_pixels(logits, labels, 255)
    expected = []
    for number in range(4):
        p, t = probabilities[:, number], (truth == number).float()
        expected.append((2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
    assert torch.allclose(dice(probabilities, truth), 1 - torch.stack(expected).mean())
    perfect = F.one_hot(truth, 4).float()
    assert float(dice(perfect, truth)) == pytest.approx(0)


def test_lovasz_of_hard_predictions_is_one_minus_iou() -> None:
    """The extension meets the set function at its corners (1705.08790, section 2)."""
    truth = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    guess = torch.tensor([0, 1, 0, 1, 1, 2, 0, 2])
    loss = lovasz_softmax(F.one_hot(guess, 3).float(), truth)
    overlaps = []
    for number in range(3):
        both = ((truth == number) & (guess == number)).sum()
        either = ((truth == number) | (guess == number)).sum()
        overlaps.append(float(both / either))
    assert float(loss) == pytest.approx(1 - np.mean(overlaps))


def test_lovasz_of_every_second_pixel(batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    config = SegmentationLossConfig(lovasz=0.5, lovasz_stride=2)
    pixels = labeled_pixels(logits[:, :, ::2, ::2], labels[:, ::2, ::2], 255)
    found = segmentation_losses(logits, labels, config)
    assert torch.allclose(found["lovasz"], 0.5 * lovasz_softmax(*pixels))
    every = segmentation_losses(logits, labels, SegmentationLossConfig(lovasz=0.5))
    assert not torch.allclose(found["lovasz"], every["lovasz"])
    assert torch.equal(found["cross_entropy"], every["cross_entropy"])


def test_every_loss_falls_under_descent() -> None:
    labels = torch.randint(0, 3, (2, 6, 6))
    config = SegmentationLossConfig(cross_entropy=1, dice=0.5, lovasz=0.5)
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.3)
    history = []
    for _ in range(25):
        losses = segmentation_losses(logits, labels, config)
        history.append({name: float(value.detach()) for name, value in losses.items()})
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert set(history[0]) == {"cross_entropy", "dice", "lovasz"}
    assert all(history[-1][name] < 0.5 * history[0][name] for name in history[0])


@pytest.mark.parametrize(
    "config",
    [
        SegmentationLossConfig(dice=1, lovasz=1),
        SegmentationLossConfig(ohem_threshold=0.7),
        SegmentationLossConfig(average="all", class_weights=(1, 2, 3)),
    ],
)
def test_all_void_gives_zero_or_at_least_finite_losses(config: SegmentationLossConfig) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    losses = segmentation_losses(logits, torch.full((1, 4, 4), 255), config)
    torch.stack(list(losses.values())).sum().backward()
    assert float(losses["cross_entropy"].detach()) == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("wrong", [-1, 3, 254])
def test_labels_outside_the_classes(wrong: int) -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    labels[0, 0, 0] = wrong
    with pytest.raises(DataError, match=f"label {wrong} in a mask of 3 classes"):
        segmentation_losses(torch.zeros(1, 3, 2, 2), labels, SegmentationLossConfig())


@pytest.mark.parametrize(
    "changes",
    [
        {"cross_entropy": 0},
        {"dice": -1},
        {"auxiliary": -0.1},
        {"average": "some"},
        {"ohem_threshold": 0},
        {"ohem_least": 0},
        {"lovasz_stride": 0},
        {"class_weights": ()},
        {"class_weights": (1, -1)},
    ],
)
def test_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        SegmentationLossConfig(**changes)
