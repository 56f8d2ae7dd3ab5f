import contextlib
import io
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from swinkit.detection.data.rle import encode_masks
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import load_detection_samples
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.evaluate.scores import number_names
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import ConfigError, DataError

from .detection_truth import perturbed, with_crowds


def by_pycocotools(samples, names, pairs, kind: str, limits=(1, 10, 100)) -> COCOeval:
    """pycocotools' evaluation, fed the way its own users feed it."""
    annotations = []
    for sample in samples:
        for row in range(len(sample)):
            left, top, right, bottom = map(float, sample.boxes_xyxy[row])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": sample.image_id,
                    "category_id": int(sample.labels[row]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(sample.areas[row]),
                    "iscrowd": int(sample.is_crowd[row]),
                }
            )
            if sample.segments is not None:
                annotations[-1]["segmentation"] = sample.segments[row].to_coco(sample.size_hw)
    images = [
        {"id": sample.image_id, "height": sample.size_hw[0], "width": sample.size_hw[1]}
        for sample in samples
    ]
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(names)]
    results = [entry for image_id, found in pairs for entry in found.to_coco(image_id)]
    for entry in results:
        # With a box, pycocotools would sort masks by the size of their boxes.
        entry.pop("bbox" if kind == "segm" else "segmentation", None)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def as_coco(value: float) -> float:
    return -1.0 if math.isnan(value) else value


@pytest.fixture(scope="module")
def cells(data_dir: Path) -> tuple[list[DetectionSample], tuple[str, ...]]:
    samples, splits = load_detection_samples(data_dir / "bccd", split="test")
    return samples[:40], splits.class_names


@pytest.fixture(scope="module")
def nuclei(data_dir: Path) -> tuple[list[DetectionSample], tuple[str, ...]]:
    samples, splits = load_detection_samples(data_dir / "nuclei", split="val")
    return samples[:25], splits.class_names


@pytest.mark.parametrize("crowds", [False, True])
def test_boxes_identical_to_pycocotools(cells, crowds):
    samples, names = cells
    samples = with_crowds(samples) if crowds else samples
    pairs = perturbed(samples, names)
    evaluator = CocoEvaluator(samples, names)
    evaluator.update(pairs)
    ours = evaluator.compute()
    theirs = by_pycocotools(samples, names, pairs, "bbox")
    assert ours.mask is None
    assert ours.images == len(samples)
    assert [as_coco(getattr(ours.box, name)) for name in number_names()] == theirs.stats.tolist()
    assert 0.2 < ours.box.ap < 0.9, "a comparison of something"
    for label, score in enumerate(ours.box.per_class):
        table = theirs.eval["precision"][:, :, label, 0, -1]
        assert score.ap == pytest.approx(table.mean(), abs=1e-12)
        assert score.ap50 == pytest.approx(table[0].mean(), abs=1e-12)
        assert (ours.box.precision50[label] == table[0]).all()
        assert (ours.box.precision75[label] == table[5]).all()
    counted = sum(int((~sample.is_crowd).sum()) for sample in samples)
    assert sum(score.objects for score in ours.box.per_class) == counted


@pytest.mark.parametrize("crowds", [False, True])
def test_masks_identical_to_pycocotools(nuclei, crowds):
    samples, names = nuclei
    samples = with_crowds(samples) if crowds else samples
    pairs = perturbed(samples, names, masks=True)
    evaluator = CocoEvaluator(samples, names)
    evaluator.update(pairs)
    ours = evaluator.compute()
    for scores, kind in ((ours.box, "bbox"), (ours.mask, "segm")):
        theirs = by_pycocotools(samples, names, pairs, kind)
        assert [as_coco(getattr(scores, name)) for name in number_names()] == theirs.stats.tolist()
    assert 0.2 < ours.main.ap < 0.9
    assert ours.main is ours.mask


def test_more_objects_than_cocos_limit(nuclei):
    samples, names = nuclei
    crowded = [sample for sample in samples if len(sample) > 30]
    pairs = perturbed(crowded, names)
    few, all_ = (CocoEvaluator(crowded, names, max_detections=most) for most in (20, 300))
    for evaluator, most in ((few, 20), (all_, 300)):
        evaluator.update(pairs)
        theirs = by_pycocotools(crowded, names, pairs, "bbox", (1, 10, most)).eval
        ours = evaluator.compute().box
        assert ours.ap == theirs["precision"][..., 0, -1].mean()
        assert ours.ar_max == theirs["recall"][..., 0, -1].mean()
        assert ours.max_detections == most
    assert few.compute().box.ar_max < all_.compute().box.ar_max


def test_processes_together_equal_one(cells):
    samples, names = cells
    pairs = perturbed(samples, names)
    alone = CocoEvaluator(samples, names)
    alone.update(pairs)
    parts = [CocoEvaluator(samples, names) for _ in range(2)]
    parts[0].update(pairs[::2])
    # A sampler repeats images until all processes have equally many.
    parts[1].update([*pairs[1::2], pairs[0]])
    states = [pickle.loads(pickle.dumps(part.state())) for part in parts]
    parts[0].merge(states)
    assert parts[0].compute().box.numbers() == alone.compute().box.numbers()


def test_only_updated_images_count(cells):
    samples, names = cells
    pairs = perturbed(samples, names)
    whole = CocoEvaluator(samples, names)
    whole.update(pairs[:10])
    part = CocoEvaluator(samples[:10], names)
    part.update(pairs[:10])
    assert whole.compute().box.numbers() == part.compute().box.numbers()
    whole.reset()
    whole.update(pairs[10:11])
    assert whole.compute().images == 1


def sample_of(boxes, labels, *, image_id=1, masks=None, crowd=None) -> DetectionSample:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return DetectionSample(
        path=Path(f"{image_id}.png"),
        image_id=image_id,
        size_hw=(40, 40),
        boxes_xyxy=boxes,
        labels=np.array(labels, np.int64),
        is_crowd=np.zeros(len(boxes), bool) if crowd is None else np.array(crowd),
        segments=masks,
        areas=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
    )


def found(boxes, scores, labels, names=("a", "b")) -> Detections:
    return Detections(
        class_names=names,
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=scores,
        labels=np.array(labels, np.int64),
        size_hw=(40, 40),
    )


def test_nothing_found_nothing_there_and_absent_classes():
    sample = sample_of([[0, 0, 10, 10]], [0])
    evaluator = CocoEvaluator([sample], ("a", "b"))
    evaluator.update([(1, found([], [], []))])
    scores = evaluator.compute().box
    assert scores.ap == 0
    assert math.isnan(scores.per_class[1].ap)
    assert scores.to_dict()["per_class"][1]["ap"] is None
    empty = CocoEvaluator([sample_of([], [])], ("a", "b"))
    assert math.isnan(empty.compute().box.ap), "no image yet"
    empty.update([(1, found([[0, 0, 5, 5]], [0.5], [0]))])
    assert math.isnan(empty.compute().box.ap), "no object to find"


def test_objects_without_a_mask_count_as_regions():
    """D marks an object of which only the box is known as crowd; its rectangle absorbs masks."""
    mask = np.zeros((1, 40, 40), bool)
    mask[0, :10, :10] = True
    outline = encode_masks(mask)[0]
    sample = sample_of(
        [[0, 0, 10, 10], [20, 20, 40, 40]], [0, 0], masks=(outline, None), crowd=[False, True]
    )
    inside = np.zeros((2, 40, 40), bool)
    inside[0, :10, :10] = True
    inside[1, 22:30, 22:30] = True
    boxes = found([[0, 0, 10, 10], [22, 22, 30, 30]], [0.8, 0.9], [0, 0])
    evaluator = CocoEvaluator([sample], ("a", "b"))
    evaluator.update([(1, InstanceMasks(**vars(boxes), masks=inside))])
    scores = evaluator.compute()
    assert scores.mask.ap == pytest.approx(1.0)
    assert scores.box.ap == pytest.approx(1.0)


def test_images_without_masks_do_not_count_for_masks():
    outline = encode_masks(np.pad(np.ones((1, 10, 10), bool), ((0, 0), (0, 30), (0, 30))))[0]
    with_mask = sample_of([[0, 0, 10, 10]], [0], image_id=1, masks=(outline,))
    without = sample_of([[0, 0, 10, 10]], [0], image_id=2)
    boxes = found([[0, 0, 10, 10]], [0.8], [0])
    masks = np.pad(np.ones((1, 10, 10), bool), ((0, 0), (0, 30), (0, 30)))
    evaluator = CocoEvaluator([with_mask, without], ("a", "b"))
    evaluator.update([(number, InstanceMasks(**vars(boxes), masks=masks)) for number in (1, 2)])
    scores = evaluator.compute()
    # An image in which nothing is found may come without masks; with boxes alone it may not.
    evaluator.reset()
    empty = found([], [], [])
    evaluator.update([(1, InstanceMasks(**vars(boxes), masks=masks)), (2, empty)])
    assert evaluator.compute().mask.ap50 == pytest.approx(1.0)
    evaluator.reset()
    evaluator.update([(1, InstanceMasks(**vars(boxes), masks=masks)), (2, boxes)])
    assert evaluator.compute().mask is None
    assert scores.mask.per_class[0].objects == 1
    assert scores.box.per_class[0].objects == 2


def test_refusals():
    sample = sample_of([[0, 0, 10, 10]], [0])
    with pytest.raises(ConfigError, match="max_detections is 0"):
        CocoEvaluator([sample], ("a",), max_detections=0)
    with pytest.raises(DataError, match="same image id"):
        CocoEvaluator([sample, sample], ("a",))
    with pytest.raises(DataError, match="label 1"):
        CocoEvaluator([replace(sample, labels=np.array([1]))], ("a",))
    evaluator = CocoEvaluator([sample], ("a",))
    with pytest.raises(DataError, match="image id 7"):
        evaluator.update([(7, found([], [], []))])
    with pytest.raises(DataError, match="1 classes"):
        evaluator.update([(1, found([[0, 0, 5, 5]], [0.5], [1]))])
