"""Real annotations and perturbed copies of them as predictions, for the tests of evaluation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.result import Detections, InstanceMasks

Pair = tuple[int, Detections]


def perturbed(
    samples: Sequence[DetectionSample],
    class_names: Sequence[str],
    *,
    seed: int = 0,
    masks: bool = False,
    jitter: float = 0.06,
) -> list[Pair]:
    """Boxes moved and resized, some dropped, some doubled, some of a wrong class, some invented."""
    random = np.random.default_rng(seed)
    return [(s.image_id, _one(s, tuple(class_names), random, masks, jitter)) for s in samples]


def _one(
    sample: DetectionSample,
    names: tuple[str, ...],
    random: np.random.Generator,
    masks: bool,
    jitter: float,
) -> Detections:
    height, width = sample.size_hw
    rows = np.flatnonzero(random.random(len(sample)) > 0.1)
    rows = np.concatenate([rows, rows[random.random(len(rows)) < 0.15]]).astype(np.int64)
    boxes = sample.boxes_xyxy[rows].astype(np.float64)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + random.normal(0, jitter, boxes.shape) * sides
    invented = random.uniform(0, 1, (3, 4)) * [width, height, width, height]
    boxes = np.concatenate([boxes, invented])
    boxes = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1
    ).clip(0, [width, height, width, height])
    labels = np.concatenate([sample.labels[rows], random.integers(0, len(names), 3)])
    wrong = random.random(len(labels)) < 0.08
    labels = np.where(wrong, random.integers(0, len(names), len(labels)), labels)
    # Two decimals, so that scores tie.
    scores = np.round(random.beta(3, 2, len(labels)), 2)
    values = {
        "class_names": names,
        "boxes_xyxy": boxes,
        "scores": scores,
        "labels": labels,
        "size_hw": sample.size_hw,
        "source": str(sample.path),
    }
    if not masks:
        return Detections(**values)
    return InstanceMasks(**values, masks=_masks(sample, rows, boxes, random))


def _masks(
    sample: DetectionSample, rows: np.ndarray, boxes: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    truth = sample.masks()
    moved = [
        np.roll(truth[row], tuple(random.integers(-2, 3, 2)), axis=(0, 1)).astype(bool)
        for row in rows
    ]
    for left, top, right, bottom in boxes[len(rows) :].astype(int):
        mask = np.zeros(sample.size_hw, bool)
        mask[top:bottom, left:right] = True
        moved.append(mask)
    return np.array(moved, bool).reshape(-1, *sample.size_hw)


def with_crowds(samples: Sequence[DetectionSample], every: int = 7) -> list[DetectionSample]:
    """The same samples with every so-manieth object a crowd region."""
    changed = []
    for sample in samples:
        crowd = np.arange(len(sample)) % every == every - 1
        changed.append(replace(sample, is_crowd=crowd))
    return changed
