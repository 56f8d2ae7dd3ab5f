"""Which candidate stands for which object, against a loop that follows the rules; samples."""

import torch
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes.assignment import RandomSampler, assign
from swinkit.detection.boxes.geometry import pairwise_iou

RPN = {"positive": 0.7, "negative": 0.3, "min_positive": 0.3, "low_quality": True}
ROI = {"positive": 0.5, "negative": 0.5, "min_positive": 0.5, "low_quality": False}


def by_rule(overlap: Tensor, rule: dict[str, float]) -> list[int]:
    objects, candidates = overlap.shape
    found = [-1] * candidates
    for column in range(candidates):
        most = overlap[:, column].max()
        if most < rule["negative"]:
            found[column] = 0
        if most >= rule["positive"]:
            found[column] = int(overlap[:, column].argmax()) + 1
    for row in range(objects if rule["low_quality"] else 0):
        best = overlap[row].max()
        if best >= rule["min_positive"] and best > 0:
            for column in range(candidates):
                if overlap[row, column] == best:
                    found[column] = row + 1
    return found


@given(boxes(1), boxes(1, 4), st.booleans())
@settings(deadline=None)
def test_assignment_follows_the_rules(candidates: Tensor, objects: Tensor, first: bool) -> None:
    rule = RPN if first else ROI
    overlap = pairwise_iou(objects, candidates)
    assert assign(candidates, objects, **rule).tolist() == by_rule(overlap, rule)


def test_without_objects_all_is_background() -> None:
    candidates = torch.tensor([[0.0, 0.0, 5.0, 5.0]])
    assert assign(candidates, torch.zeros(0, 4), **RPN).tolist() == [0]


def test_without_candidates_there_is_nothing_to_assign() -> None:
    crowd = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    assert assign(torch.zeros(0, 4), crowd, ignored=crowd, **RPN).shape == (0,)
    assert assign(torch.zeros(0, 4), torch.zeros(0, 4), **ROI).dtype == torch.int64


def test_an_object_that_nothing_touches_claims_nothing() -> None:
    rule = {"positive": 0.5, "negative": 0.4, "min_positive": 0.0, "low_quality": True}
    candidates = torch.tensor([[0.0, 0.0, 5.0, 5.0], [20.0, 20.0, 30.0, 30.0]])
    far = torch.tensor([[80.0, 80.0, 90.0, 90.0]])
    assert assign(candidates, far, **rule).tolist() == [0, 0]
    weak = torch.tensor([[4.0, 4.0, 9.0, 9.0]])
    assert assign(candidates, weak, **rule).tolist() == [1, 0]


def test_candidates_in_a_crowd_are_no_background_but_may_be_objects() -> None:
    crowd = torch.tensor([[0.0, 0.0, 40.0, 40.0]])
    candidates = torch.tensor(
        [[1.0, 1.0, 9.0, 9.0], [10.0, 10.0, 20.0, 20.0], [35.0, 35.0, 60.0, 60.0]]
    )
    objects = torch.tensor([[10.0, 10.0, 20.0, 21.0]])
    assert assign(candidates, objects, ignored=crowd, **ROI).tolist() == [-1, 1, 0]
    assert assign(candidates, objects[:0], ignored=crowd, **ROI).tolist() == [-1, -1, 0]


@given(st.lists(st.integers(-1, 3), max_size=60), st.integers(1, 40), st.floats(0, 1))
@settings(deadline=None)
def test_a_sample_keeps_its_limits(values: list[int], number: int, fraction: float) -> None:
    assigned = torch.tensor(values, dtype=torch.int64)
    positive, negative = RandomSampler()(assigned, number, fraction)
    assert (assigned[positive] > 0).all()
    assert (assigned[negative] == 0).all()
    assert positive.numel() == min(int((assigned > 0).sum()), int(number * fraction))
    assert negative.numel() == min(int((assigned == 0).sum()), number - positive.numel())
    for chosen in (positive, negative):
        assert (chosen.diff() > 0).all()


def test_a_sample_is_random_and_follows_the_seed() -> None:
    assigned = torch.zeros(1000, dtype=torch.int64)
    sampler = RandomSampler()
    torch.manual_seed(1)
    first = sampler(assigned, 50, 0.5)[1]
    second = sampler(assigned, 50, 0.5)[1]
    torch.manual_seed(1)
    assert torch.equal(sampler(assigned, 50, 0.5)[1], first)
    assert not torch.equal(first, second)
