import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from swinkit.errors import DataError
from swinkit.segmentation.evaluate.scores import SegmentationEvaluator, boundary_f1

NAMES = ("sky", "road", "tree", "car")


def maps(seed: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shape = tuple(random.integers(5, 20, 2))
        truth = random.integers(0, 3, shape)
        predicted = np.where(random.random(shape) < 0.3, random.integers(0, 4, shape), truth)
        made.append((predicted, np.where(random.random(shape) < 0.1, 255, truth)))
    return made


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_torchmetrics(seed):
    evaluator = SegmentationEvaluator(NAMES, boundary_tolerance=None)
    iou = MulticlassJaccardIndex(4, average="none", ignore_index=255)
    mean_iou = MulticlassJaccardIndex(4, average="macro", ignore_index=255)
    accuracy = MulticlassAccuracy(4, average="micro", ignore_index=255)
    for predicted, truth in maps(seed):
        evaluator.update(predicted, truth)
        for metric in (iou, mean_iou, accuracy):
            metric.update(torch.tensor(predicted).flatten(), torch.tensor(truth).flatten())
    scores = evaluator.compute()
    assert np.nan_to_num(scores.iou) == pytest.approx(iou.compute().numpy(), abs=1e-6)
    assert scores.miou == pytest.approx(float(mean_iou.compute()), abs=1e-6)
    assert scores.pixel_accuracy == pytest.approx(float(accuracy.compute()), abs=1e-6)
    assert scores.images == 3


def test_numbers_by_hand():
    truth = np.array([[0, 0, 1, 255], [0, 0, 1, 255]])
    predicted = np.array([[0, 0, 0, 2], [0, 3, 1, 2]])
    evaluator = SegmentationEvaluator(NAMES)
    own = evaluator.update(torch.tensor(predicted, dtype=torch.uint8), truth.astype(np.uint8))
    assert own.iou == pytest.approx([3 / 5, 1 / 2, math.nan, 0], nan_ok=True)
    assert own.miou == pytest.approx((3 / 5 + 1 / 2 + 0) / 3)
    assert own.mean_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert own.pixel_accuracy == pytest.approx(4 / 6)
    classes = own.per_class
    assert [score.pixels for score in classes] == [4, 2, 0, 0]
    assert classes[0].precision == pytest.approx(3 / 4)
    assert math.isnan(classes[2].iou), "said only where the truth is void"
    assert evaluator.compute().numbers() == own.numbers()


def test_processes_together_equal_one():
    alone = SegmentationEvaluator(NAMES)
    parts = [SegmentationEvaluator(NAMES) for _ in range(2)]
    for number, (predicted, truth) in enumerate(maps(3, count=5)):
        alone.update(predicted, truth)
        parts[number % 2].update(predicted, truth)
    states = [pickle.loads(pickle.dumps(part.state())) for part in parts]
    parts[0].reset()
    parts[0].merge(states)
    assert parts[0].compute().numbers() == pytest.approx(alone.compute().numbers())
    assert (parts[0].compute().confusion == alone.compute().confusion).all()
    assert parts[0].compute().images == 5


def test_boundary_is_the_mean_over_the_images_that_show_it():
    pairs = maps(4, count=4)
    evaluator = SegmentationEvaluator(NAMES)
    for predicted, truth in pairs:
        evaluator.update(predicted, truth)
    wanted = np.nanmean([boundary_f1(p, t, 3) for p, t in pairs], axis=0)
    assert evaluator.compute().boundary[:3] == pytest.approx(wanted)
    without = SegmentationEvaluator(NAMES, boundary_tolerance=None)
    without.update(*pairs[0])
    assert math.isnan(without.compute().mean_boundary_f1)


def test_no_image_and_only_void():
    evaluator = SegmentationEvaluator(NAMES)
    assert math.isnan(evaluator.compute().miou)
    own = evaluator.update(np.zeros((4, 4), int), np.full((4, 4), 255))
    assert math.isnan(own.miou)
    assert own.pixel_accuracy == 0


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (np.zeros((4, 4), int), np.zeros((4, 5), int), "(4, 5)"),
        (np.zeros((4, 4), int), np.full((4, 4), 9), "truth has labels 9 to 9"),
        (np.full((4, 4), 4), np.zeros((4, 4), int), "prediction has labels 4 to 4"),
    ],
)
def test_refusals(predicted, truth, message):
    with pytest.raises(DataError) as error:
        SegmentationEvaluator(NAMES).update(predicted, truth, name="street.png")
    assert message in str(error.value)
    assert "street.png" in str(error.value)


def test_real_masks_against_themselves(data_dir: Path):
    folder = data_dir / "camvid"
    names = (folder / "classes.txt").read_text().split()
    evaluator = SegmentationEvaluator(names)
    for path in sorted((folder / "masks" / "val").iterdir())[:2]:
        truth = np.asarray(Image.open(path))
        own = evaluator.update(np.where(truth == 255, 0, truth), truth)
        assert own.pixel_accuracy == own.miou == own.mean_boundary_f1 == 1
