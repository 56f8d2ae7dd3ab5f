"""Sampling of candidates: objects in front, positives first, anything may be missing."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.detection.boxes.assignment import RandomSampler
from swinkit.detection.boxes.geometry import pairwise_iou
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.network.roi_sampling import (
    Sampled,
    is_positive,
    positives,
    sample,
    without_objects,
)
from swinkit.detection.roi_config import RoIConfig, StageConfig

NUM_CLASSES = 4


def random_boxes(number: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 60
    return torch.cat([corners, corners + 4 + torch.rand(number, 2, generator=generator) * 40], 1)


def draw(num_objects: int, num_candidates: int, seed: int, low_quality: bool) -> Sampled:
    objects = random_boxes(num_objects, seed)
    target = InstanceTarget(
        boxes_xyxy=objects,
        labels=torch.arange(num_objects) % NUM_CLASSES,
        size_hw=(100, 100),
    )
    config = RoIConfig(num_samples=16, low_quality=low_quality)
    candidates = random_boxes(num_candidates, seed + 1)
    chosen = sample(candidates, target, StageConfig(), config, NUM_CLASSES, RandomSampler())
    overlaps = pairwise_iou(chosen.boxes_xyxy, objects)
    positive = chosen.num_positive
    assert torch.equal(chosen.labels[:positive], target.labels[chosen.matched])
    assert torch.all(chosen.labels[positive:] == NUM_CLASSES)
    if num_objects:
        rows = torch.arange(positive)
        assert torch.all(overlaps[rows, chosen.matched] >= 0.5)
        assert torch.all(overlaps[positive:].amax(1) < 0.5)
        assert torch.all(overlaps[chosen.is_object].amax(1) == 1)
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(0, 60), st.integers(0, 10_000), st.booleans())
def test_samples(num_objects: int, num_candidates: int, seed: int, low_quality: bool) -> None:
    chosen = draw(num_objects, num_candidates, seed, low_quality)
    assert chosen.boxes_xyxy.shape[0] == chosen.labels.shape[0] == chosen.is_object.shape[0]
    assert chosen.boxes_xyxy.shape[0] <= 16
    assert chosen.num_positive <= 4
    assert not chosen.is_object[chosen.num_positive :].any()


def test_objects_are_candidates_and_leave_before_the_next_stage() -> None:
    some, none = draw(3, 0, 0, True), draw(0, 0, 0, True)
    assert some.num_positive == 3
    assert some.is_object.all()
    left = without_objects([some.boxes_xyxy, none.boxes_xyxy], [some, none])
    assert [boxes.shape for boxes in left] == [(0, 4), (0, 4)]
    assert is_positive([some, none]).tolist() == [True] * 3
    assert [boxes.shape[0] for boxes in positives([some, none])] == [3, 0]
