import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.detection.data.splits import load_detection_samples
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.evaluate.errors import (
    ERRORS,
    best_score,
    match,
    match_all,
    operate,
    overlap,
)

from .detection_truth import perturbed, with_crowds


def kinds_of(truth, truth_labels, boxes, labels, scores, crowd=None):
    crowd = np.zeros(len(truth), bool) if crowd is None else np.array(crowd)
    as_xywh = [[x, y, right - x, bottom - y] for x, y, right, bottom in boxes]
    there = [[x, y, right - x, bottom - y] for x, y, right, bottom in truth]
    overlaps = overlap(
        np.array(as_xywh, float).reshape(-1, 4), np.array(there, float).reshape(-1, 4), crowd
    )
    return match(overlaps, np.array(scores), np.array(labels), np.array(truth_labels), crowd)


def test_every_kind_of_error():
    truth = [[0, 0, 10, 10], [50, 50, 60, 60], [80, 0, 100, 20]]
    boxes = [
        [0, 0, 10, 10],  # right
        [0, 0, 10, 9],  # the same object again
        [50, 50, 60, 60],  # another class
        [0, 6, 10, 16],  # too far off
        [50, 56, 60, 66],  # too far off, and another class
        [20, 80, 30, 90],  # nothing there
        [80, 0, 90, 10],  # inside a crowd
    ]
    labels = [0, 0, 0, 0, 0, 0, 2]
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    kinds, truth_of = kinds_of(truth, [0, 1, 2], boxes, labels, scores, [False, False, True])
    assert kinds == (
        "right",
        "duplicate",
        "class",
        "location",
        "class and location",
        "background",
        "ignored",
    )
    assert truth_of.tolist() == [0, -1, -1, -1, -1, -1, -2]


def test_the_higher_score_takes_the_object():
    kinds, truth_of = kinds_of(
        [[0, 0, 10, 10]], [0], [[0, 0, 10, 10], [0, 0, 10, 9]], [0, 0], [0.5, 0.9]
    )
    assert kinds == ("duplicate", "right")
    assert truth_of.tolist() == [-1, 0]


def test_nothing_on_either_side():
    assert kinds_of([], [], [], [], []) == ((), pytest.approx([]))
    assert kinds_of([], [], [[0, 0, 5, 5]], [0], [0.5])[0] == ("background",)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_agrees_with_cocos_recall(data_dir, seed):
    """Of all that is found at any score, COCO's recall at overlap 0.50 counts the same."""
    samples, splits = load_cached(data_dir)
    samples = with_crowds(samples)
    names = splits.class_names
    evaluator = CocoEvaluator(samples, names, max_detections=1000)
    evaluator.update(perturbed(samples, names, seed=seed))
    matchings = match_all(evaluator)
    scores = evaluator.compute().box
    for label, curve in enumerate(scores.precision50):
        at = operate(matchings, 0.0, label)
        reached = np.flatnonzero(curve > 0).max(initial=-1) / 100
        assert reached <= at.recall + 1e-9 < reached + 0.01 + 1e-9
        assert at.right + at.missed == scores.per_class[label].objects


CACHE: dict = {}


def load_cached(data_dir):
    if not CACHE:
        CACHE["bccd"] = load_detection_samples(data_dir / "bccd", split="test")
    samples, splits = CACHE["bccd"]
    return samples[:12], splits


def test_the_best_score_is_the_best(data_dir):
    samples, splits = load_cached(data_dir)
    evaluator = CocoEvaluator(samples, splits.class_names)
    pairs = perturbed(samples, splits.class_names)
    evaluator.update(pairs)
    matchings = match_all(evaluator)
    for label in (None, 0, 1, 2):
        chosen = best_score(matchings, label)
        best = operate(matchings, chosen, label).f1
        everything = {float(s) for _, found in pairs for s in found.scores}
        assert best == max(operate(matchings, score, label).f1 for score in everything)
    all_ = operate(matchings, 0.0)
    assert set(all_.errors) == set(ERRORS)
    kept = sum(len(found) for _, found in pairs)
    assert all_.right + sum(all_.errors.values()) == kept
    assert best_score([]) == 1.0
