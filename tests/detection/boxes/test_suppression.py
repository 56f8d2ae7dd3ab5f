"""Non-maximum suppression, hard and soft, against a loop that follows the definition."""

import math

import pytest
import torch
from box_strategies import boxes, multiclass_nms
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes import suppression
from swinkit.detection.boxes.geometry import pairwise_iou
from swinkit.detection.boxes.suppression import grouped_nms, soft_nms
from swinkit.detection.config import Suppression
from swinkit.errors import ConfigError

Case = tuple[Tensor, Tensor, Tensor]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Boxes, distinct scores, groups."""
    found = draw(boxes(0, 12, smallest=1.0))
    order = draw(st.permutations(range(len(found))))
    scores = torch.tensor([(1 + rank) / (len(found) + 1) for rank in order])
    groups = draw(st.lists(st.integers(0, 2), min_size=len(found), max_size=len(found)))
    return found, scores, torch.tensor(groups, dtype=torch.int64)


def by_definition(case: Case, iou: float) -> list[int]:
    found, scores, groups = case
    overlap, kept = pairwise_iou(found, found), []
    for row in scores.argsort(descending=True).tolist():
        rivals = [other for other in kept if groups[other] == groups[row]]
        if all(overlap[row, other] <= iou for other in rivals):
            kept.append(row)
    return kept


@given(cases())
@settings(deadline=None)
def test_hard_is_the_definition_and_idempotent(case: Case) -> None:
    found, scores, groups = case
    kept = grouped_nms(found, scores, groups, 0.501)
    assert kept.tolist() == by_definition(case, 0.501)
    again = grouped_nms(found[kept], scores[kept], groups[kept], 0.501)
    assert again.tolist() == list(range(len(kept)))


@given(cases())
@settings(deadline=None, max_examples=30)
def test_many_boxes_take_the_same_decisions(case: Case) -> None:
    few = grouped_nms(*case, 0.501)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "MOVED_APART_BELOW", 0)
        assert torch.equal(grouped_nms(*case, 0.501), few)


def soft_by_definition(case: Case, method: str) -> list[tuple[int, float]]:
    found, scores, groups = case
    overlap, left = pairwise_iou(found, found), dict(enumerate(scores.tolist()))
    taken = []
    while left:
        best = max(left, key=left.__getitem__)
        taken.append((best, left.pop(best)))
        for row in left:
            common = overlap[best, row].item() if groups[best] == groups[row] else 0.0
            if method == "gaussian":
                left[row] *= math.exp(-(common**2) / 0.5)
            elif common >= 0.501:
                left[row] *= 1 - common
        left = {row: score for row, score in left.items() if score >= 0.2}
    return [(row, score) for row, score in taken if score >= 0.2]


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@given(case=cases())
@settings(deadline=None)
def test_soft_is_the_definition(method: str, case: Case) -> None:
    expected = soft_by_definition(case, method)
    suppression = Suppression(method=method, iou=0.501, min_score=0.2)
    final, kept = soft_nms(*case, suppression)
    # Scores that fall together may be taken in either order.
    assert final.tolist() == pytest.approx([score for _, score in expected], abs=1e-5)
    assert (final.diff() <= 1e-6).all()
    assert sorted(kept.tolist()) == sorted(row for row, _ in expected)
    limited = soft_nms(*case, suppression, max_number=3)
    assert torch.equal(limited[1], kept[:3])
    assert torch.equal(limited[0], final[:3])


@given(cases())
@settings(deadline=None)
def test_gaussian_never_raises_a_score_and_leaves_what_is_alone(case: Case) -> None:
    found, scores, _ = case
    apart = torch.arange(len(scores))
    final, kept = soft_nms(found, scores, apart, Suppression(method="gaussian"))
    assert torch.equal(final, scores[kept])


def test_a_box_without_area_does_no_harm() -> None:
    found = torch.tensor([[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 9.0, 9.0]])
    scores, groups = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    for method in ("linear", "gaussian"):
        final, _ = soft_nms(found, scores, groups, Suppression(method=method))
        assert final.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_multiclass_takes_every_pair_above_the_threshold() -> None:
    found = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [30.0, 30.0, 50.0, 50.0]])
    scores = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.05, 0.45], [0.04, 0.9, 0.06]])
    chosen = {"score_threshold": 0.05, "suppression": Suppression(), "max_per_image": 100}
    where, best, labels, rows = multiclass_nms(found, scores, **chosen)
    assert labels.tolist() == [1, 0, 1]
    assert rows.tolist() == [2, 0, 0]
    assert best.tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert torch.equal(where, found[rows])
    # The same boxes for both classes, written out.
    apart = multiclass_nms(found.repeat(1, 2), scores, **chosen)
    assert torch.equal(apart[0], where)
    assert torch.equal(apart[3], rows)
    assert len(multiclass_nms(found, scores, **(chosen | {"max_per_image": 2}))[1]) == 2


@pytest.mark.parametrize("method", ["hard", "linear", "gaussian"])
@pytest.mark.parametrize("width", [4, 12])
def test_nothing_found(method: str, width: int) -> None:
    chosen = Suppression(method=method)
    for number in (0, 2):
        found, best, labels, rows = multiclass_nms(
            torch.zeros(number, width),
            torch.zeros(number, 4),
            score_threshold=0.5,
            suppression=chosen,
            max_per_image=10,
        )
        assert found.shape == (0, 4)
        assert best.shape == labels.shape == rows.shape == (0,)


def test_half_precision_scores() -> None:
    found, scores = torch.rand(5, 4) * 40, torch.rand(5, 3)
    found[:, 2:] += found[:, :2]
    for method in ("hard", "linear"):
        chosen = Suppression(method=method)
        where, best, _, _ = multiclass_nms(
            found.bfloat16(),
            scores.bfloat16(),
            score_threshold=0.1,
            suppression=chosen,
            max_per_image=10,
        )
        assert where.dtype == best.dtype == torch.float32


@pytest.mark.parametrize(
    "wrong", [{"method": "none"}, {"iou": 1.5}, {"sigma": 0}, {"min_score": -1}]
)
def test_settings_that_cannot_work(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="suppression"):
        Suppression(**wrong)
