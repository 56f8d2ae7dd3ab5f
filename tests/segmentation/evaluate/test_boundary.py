import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from swinkit.segmentation.evaluate.scores import boundary_f1


def slow_boundary(labels: np.ndarray, label: int, void: np.ndarray) -> np.ndarray:
    """Pixel by pixel, from the definition."""
    height, width = labels.shape
    edge = np.zeros(labels.shape, bool)
    for row in range(height):
        for column in range(width):
            if void[row, column] or labels[row, column] != label:
                continue
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                y, x = row + down, column + right
                if 0 <= y < height and 0 <= x < width and not void[y, x]:
                    edge[row, column] |= labels[y, x] != label
    return edge


def slow_f1(predicted: np.ndarray, truth: np.ndarray, label: int, reach: float) -> float:
    void = truth == 255
    ours, theirs = (slow_boundary(labels, label, void) for labels in (predicted, truth))
    if not ours.any() and not theirs.any():
        return np.nan
    if not ours.any() or not theirs.any():
        return 0.0
    precision = (distance_transform_edt(~theirs)[ours] <= reach).mean()
    recall = (distance_transform_edt(~ours)[theirs] <= reach).mean()
    return 2 * precision * recall / max(precision + recall, 1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tolerance=st.floats(0, 0.2))
def test_equals_its_definition(seed, tolerance):
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 24, 2)
    coarse = random.integers(0, 3, (8, 8))
    truth = np.kron(coarse, np.ones((3, 3), int))[:height, :width]
    predicted = np.roll(truth, random.integers(-2, 3, 2), (0, 1))
    truth = np.where(random.random(truth.shape) < 0.05, 255, truth)
    reach = max(1.0, tolerance * np.hypot(height, width))
    wanted = [slow_f1(predicted, truth, label, reach) for label in range(4)]
    assert boundary_f1(predicted, truth, 4, tolerance=tolerance) == pytest.approx(
        wanted, nan_ok=True
    )


def test_a_shift_within_the_tolerance_is_perfect_and_beyond_it_is_not():
    truth = np.zeros((100, 100), np.uint8)
    truth[:, 50:] = 1
    assert boundary_f1(truth, truth, 2).tolist() == [1, 1]
    assert boundary_f1(np.roll(truth, 1, 1)[:, 1:], truth[:, 1:], 2).tolist() == [1, 1]
    far = np.zeros_like(truth)
    far[:, 60:] = 1
    assert boundary_f1(far, truth, 2).tolist() == [0, 0]
    assert boundary_f1(far, truth, 2, tolerance=0.1).tolist() == [1, 1]


def test_borders_and_void_are_no_boundaries():
    whole = np.zeros((10, 10), np.uint8)
    assert np.isnan(boundary_f1(whole, whole, 2)).all()
    void = whole.copy()
    void[:, 5:] = 255
    predicted = whole.copy()
    predicted[:, 5:] = 1
    assert np.isnan(boundary_f1(predicted, void, 2)).all(), "the prediction there does not count"
