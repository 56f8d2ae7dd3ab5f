"""Which detection answers which object, and what kind of error each other one is.

N detections and G objects of one image.

Detections take their turn from the highest score down, as in COCO's evaluation: each takes, among
the objects of its class that are still free, the one it overlaps most, if by at least 0.5 (IoU; of
masks where both sides have them). What comes later cannot change what came before, so the counts
at any score threshold follow from one matching. The kinds of error are those of TIDE (Bolya et al.,
2008.08115, section 2), with the overlaps 0.1 and 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle_tools

from swinkit.detection.evaluate.coco import CocoEvaluator, EncodedDetections, boxes_xywh

FOREGROUND, BACKGROUND = 0.5, 0.1
ERRORS = ("class", "location", "class and location", "duplicate", "background")
RIGHT, IGNORED = "right", "ignored"
NOTHING, CROWD = -1, -2

Regions = Sequence[Any] | np.ndarray


@dataclass(frozen=True, eq=False)
class Matching:
    """One image's detections and objects, put together.

    Attributes:
        image: place of the image in the evaluator's pairs.
        found: the detections.
        kinds: for each detection "right", one of `ERRORS`, or "ignored" (on a crowd region).
            class: an object of another class lies there; location: one of its class, but the
            overlap is below 0.5; class and location: both; duplicate: the object was taken by a
            detection of higher score; background: no object overlaps by 0.1.
        truth_of: (N,) object that a right detection takes, else negative.
        truth_labels: (G,) classes of the objects.
        taken_at: (G,) score of the detection that took the object; -inf where none did.
        counted: (G,) False for crowd regions.
        by_mask: whether masks were compared, not boxes.
    """

    image: int
    found: EncodedDetections
    kinds: tuple[str, ...]
    truth_of: np.ndarray
    truth_labels: np.ndarray
    taken_at: np.ndarray
    counted: np.ndarray
    by_mask: bool


def match_all(evaluator: CocoEvaluator) -> list[Matching]:
    """The matching of each image that the evaluator has gathered, in the order of its pairs."""
    masks = evaluator.has_masks
    matchings = []
    for image, (sample, found) in enumerate(evaluator.pairs()):
        by_mask = masks and sample.segments is not None
        if by_mask and found.rles is not None:
            regions: Regions = evaluator.truth_rles(sample)
            answers: Regions = found.rles
        else:
            regions = boxes_xywh(sample.boxes_xyxy)
            answers = boxes_xywh(found.boxes_xyxy)
        crowd = np.asarray(sample.is_crowd, bool)
        if by_mask:
            crowd = crowd | sample.lacks_mask
        overlaps = overlap(answers, regions, crowd)
        kinds, truth_of = match(overlaps, found.scores, found.labels, sample.labels, crowd)
        taken_at = np.full(len(crowd), -np.inf)
        right = truth_of >= 0
        taken_at[truth_of[right]] = found.scores[right]
        matchings.append(
            Matching(
                image=image,
                found=found,
                kinds=kinds,
                truth_of=truth_of,
                truth_labels=np.asarray(sample.labels),
                taken_at=taken_at,
                counted=~crowd,
                by_mask=by_mask,
            )
        )
    return matchings


def overlap(answers: Regions, regions: Regions, crowd: np.ndarray) -> np.ndarray:
    """(N, G) overlaps of boxes (xywh) or encoded masks: IoU; on a crowd region, the part of the
    answer that lies in it."""
    if not len(answers) or not len(regions):
        return np.zeros((len(answers), len(regions)))
    if not isinstance(answers, np.ndarray):
        answers, regions = list(answers), list(regions)
    values = rle_tools.iou(answers, regions, crowd.astype(int).tolist())
    return np.asarray(values, np.float64).reshape(len(answers), len(regions))


def match(
    overlaps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    truth_labels: np.ndarray,
    crowd: np.ndarray,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Kinds and objects of the N detections of one image; see `Matching`.

    Args:
        overlaps: (N, G).
        scores, labels: (N,).
        truth_labels, crowd: (G,).
    """
    kinds = [""] * len(scores)
    truth_of = np.full(len(scores), NOTHING)
    free = ~crowd
    for row in np.argsort(-scores, kind="stable"):
        same = truth_labels == labels[row]
        candidates = np.where(same & free, overlaps[row], 0.0)
        best = int(candidates.argmax()) if len(candidates) else NOTHING
        if best >= 0 and candidates[best] >= FOREGROUND:
            free[best] = False
            truth_of[row], kinds[row] = best, RIGHT
        elif (overlaps[row] >= FOREGROUND)[same & crowd].any():
            truth_of[row], kinds[row] = CROWD, IGNORED
        else:
            kinds[row] = _kind(overlaps[row][~crowd], same[~crowd])
    return tuple(kinds), truth_of


def _kind(overlaps: np.ndarray, same: np.ndarray) -> str:
    own = overlaps[same].max(initial=0.0)
    other = overlaps[~same].max(initial=0.0)
    if own >= FOREGROUND:
        return "duplicate"
    if other >= FOREGROUND:
        return "class"
    if own >= BACKGROUND:
        return "location"
    return "class and location" if other >= BACKGROUND else "background"


@dataclass(frozen=True, kw_only=True)
class Operating:
    """What a user meets who keeps the detections from one score on.

    Attributes:
        score: the threshold.
        precision, recall, f1: over all classes together, at overlap 0.5.
        right: right detections.
        missed: objects that nothing answers.
        errors: number of wrong detections of each kind.
    """

    score: float
    precision: float
    recall: float
    f1: float
    right: int
    missed: int
    errors: dict[str, int]


def best_score(matchings: Sequence[Matching], label: int | None = None) -> float:
    """The score from which on detections must be kept for the best F1, of a class or of all
    classes together; 1 where no detection is right."""
    scores, right = [np.zeros(0)], [np.zeros(0, bool)]
    objects = 0
    for item in matchings:
        kept = (item.truth_of != CROWD) & _of_class(item.found.labels, label)
        scores.append(item.found.scores[kept])
        right.append(item.truth_of[kept] >= 0)
        objects += int((item.counted & _of_class(item.truth_labels, label)).sum())
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    if not all_right.any():
        return 1.0
    order = np.argsort(-all_scores, kind="stable")
    f1 = 2 * np.cumsum(all_right[order]) / (np.arange(1, len(order) + 1) + objects)
    # Equal scores are kept or left together: only the last of them is a threshold.
    descending = all_scores[order]
    last = np.append(descending[1:] < descending[:-1], True)
    return float(descending[np.where(last, f1, -1).argmax()])


def operate(matchings: Sequence[Matching], score: float, label: int | None = None) -> Operating:
    """Count what is right and wrong from a score on, of a class or of all classes together."""
    counts = dict.fromkeys((RIGHT, IGNORED, *ERRORS), 0)
    objects = 0
    for item in matchings:
        kept = (item.found.scores >= score) & _of_class(item.found.labels, label)
        for row in kept.nonzero()[0]:
            counts[item.kinds[row]] += 1
        objects += int((item.counted & _of_class(item.truth_labels, label)).sum())
    right = counts[RIGHT]
    wrong = sum(counts[kind] for kind in ERRORS)
    return Operating(
        score=score,
        precision=right / max(right + wrong, 1),
        recall=right / max(objects, 1),
        f1=2 * right / max(right + wrong + objects, 1),
        right=right,
        missed=objects - right,
        errors={kind: counts[kind] for kind in ERRORS},
    )


def _of_class(labels: np.ndarray, label: int | None) -> np.ndarray:
    return np.ones(len(labels), bool) if label is None else np.asarray(labels) == label
