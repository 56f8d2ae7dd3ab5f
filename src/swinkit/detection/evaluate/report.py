"""What an evaluation of a detector found. N detections, G objects, K classes, R recalls."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swinkit.console import text_table
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.evaluate.coco import CocoEvaluator, EncodedDetections
from swinkit.detection.evaluate.errors import (
    ERRORS,
    Matching,
    Operating,
    best_score,
    match_all,
    operate,
)
from swinkit.detection.evaluate.scores import RECALLS, CocoResult, CocoScores
from swinkit.task.evaluating import WIDEST_PERCENT, finite, percent, write_numbers

MISSED = "missed"


@dataclass(frozen=True, kw_only=True, eq=False)
class Miss:
    """A wrong detection, or an object that no detection answers.

    Attributes:
        kind: one of `ERRORS`, or "missed".
        label: class of the detection, or of the missed object.
        score: of the detection; None for a missed object.
        box_xyxy: in pixels of the image.
        row: of the detection in `found`, or of the object in `sample`.
        sample, found: truth and detections of the whole image.
        by_mask: whether masks were compared, not boxes.
    """

    kind: str
    row: int
    by_mask: bool
    label: int
    score: float | None
    box_xyxy: tuple[float, float, float, float]
    sample: DetectionSample
    found: EncodedDetections

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "path": str(self.sample.path),
            "image_id": self.sample.image_id,
            "kind": self.kind,
            "class": class_names[self.label],
            "score": self.score,
            "box_xyxy": [round(value, 2) for value in self.box_xyxy],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One image's truth and detections, and how they fit."""

    sample: DetectionSample
    found: EncodedDetections
    matching: Matching


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionReport:
    """Numbers of a detector on a set of images.

    Attributes:
        class_names: K names.
        scores: COCO's numbers of boxes and masks.
        overall: counts at the score that a user would choose; see `Operating`.
        by_class: the same for each class alone, at the same score.
        best_scores: (K,) the score at which each class alone has its best F1.
        seconds: reading and prediction together.
        wrong: detections of high score that are wrong, highest first.
        missed: objects that nothing answers, largest first.
        examples: some images, evenly spread.
    """

    class_names: tuple[str, ...]
    scores: CocoResult
    overall: Operating
    by_class: tuple[Operating, ...]
    best_scores: tuple[float, ...]
    seconds: float
    wrong: tuple[Miss, ...]
    missed: tuple[Miss, ...]
    examples: tuple[Example, ...]

    @property
    def images(self) -> int:
        """Evaluated images."""
        return self.scores.images

    @property
    def images_per_second(self) -> float:
        """Images evaluated per second, reading included."""
        return self.images / max(self.seconds, 1e-9)

    def numbers(self) -> dict[str, float]:
        """AP, AP50 and AP75 of boxes, and of masks where there are any."""
        return self.scores.numbers()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        scores = self.scores
        return {
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "box": scores.box.to_dict(),
            "mask": None if scores.mask is None else scores.mask.to_dict(),
            "at_score": asdict(self.overall),
            "per_class": self.rows(),
            "curves": {
                "recall": [round(float(value), 2) for value in RECALLS],
                "precision50": {
                    name: [finite(round(float(value), 4)) for value in curve]
                    for name, curve in zip(self.class_names, scores.main.precision50, strict=True)
                },
            },
            "wrong": [miss.to_dict(self.class_names) for miss in self.wrong],
            "missed": [miss.to_dict(self.class_names) for miss in self.missed],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One entry per class: AP of boxes and masks, and the counts at the chosen score."""
        rows = []
        for label, (name, at) in enumerate(zip(self.class_names, self.by_class, strict=True)):
            objects = self.scores.box.per_class[label].objects
            row: dict[str, Any] = {"name": name, "objects": objects}
            for kind, scores in self.scores.by_kind().items():
                own = scores.per_class[label]
                row |= {f"{kind}_ap": finite(own.ap), f"{kind}_ap50": finite(own.ap50)}
                row[f"{kind}_ap75"] = finite(own.ap75)
            row |= {"best_score": self.best_scores[label], "score": at.score}
            row |= {"precision": at.precision, "recall": at.recall, "f1": at.f1}
            row |= {"right": at.right, MISSED: at.missed, **at.errors}
            rows.append(row)
        return rows

    def table(self) -> str:
        """One line per class and a summary, as plain text."""
        kinds = self.scores.by_kind()
        ratios = [f"{kind}_{name}" for kind in kinds for name in ("ap", "ap50")]
        ratios += ["precision", "recall"]
        heads = [name.replace("_ap", " AP") for name in ratios]
        rows = [
            (row["name"], *(percent(row[name]) for name in ratios), str(row["objects"]))
            for row in self.rows()
        ]
        lines = text_table(("class", *heads, "objects"), rows, narrowest=WIDEST_PERCENT)
        lines += [_summary(kind, scores) for kind, scores in kinds.items()]
        at = self.overall
        errors = ", ".join(f"{number} {kind}" for kind, number in at.errors.items() if number)
        lines.append(
            f"at score {at.score:.2f}: precision {at.precision:.1%}, recall {at.recall:.1%}, "
            f"{at.right} right, {at.missed} missed; wrong: {errors or 'none'}"
        )
        lines.append(f"{self.images} images, {self.images_per_second:.1f} a second")
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """report.json and per_class.csv. Raises SwinkitError where the system refuses."""
        write_numbers(folder, self.to_dict(), self.rows())


def report_of(
    evaluator: CocoEvaluator,
    *,
    seconds: float = 0.0,
    score: float | None = None,
    worst: int = 16,
    examples: int = 6,
) -> DetectionReport:
    """The report of what an evaluator has gathered.

    Args:
        evaluator: with detections of at least one image.
        seconds: that they took.
        score: from which on detections count in the errors; None takes the one of the best F1.
        worst: wrong detections, and missed objects, to keep.
        examples: images to keep.
    """
    matchings = match_all(evaluator)
    pairs = evaluator.pairs()
    chosen = best_score(matchings) if score is None else score
    labels = range(len(evaluator.class_names))
    step = max(1, len(pairs) // max(examples, 1))
    return DetectionReport(
        class_names=evaluator.class_names,
        scores=evaluator.compute(),
        overall=operate(matchings, chosen),
        by_class=tuple(operate(matchings, chosen, label) for label in labels),
        best_scores=tuple(best_score(matchings, label) for label in labels),
        seconds=seconds,
        wrong=tuple(_wrong(matchings, pairs, chosen, worst)),
        missed=tuple(_missed(matchings, pairs, chosen, worst)),
        examples=tuple(
            Example(sample=sample, found=found, matching=matching)
            for (sample, found), matching in list(zip(pairs, matchings, strict=True))[::step]
        )[:examples],
    )


Pairs = list[tuple[DetectionSample, EncodedDetections]]


def _wrong(matchings: list[Matching], pairs: Pairs, score: float, most: int) -> list[Miss]:
    places = [
        (-float(item.found.scores[row]), item.image, row)
        for item in matchings
        for row, kind in enumerate(item.kinds)
        if kind in ERRORS and item.found.scores[row] >= score
    ]
    return [
        _miss(
            matchings[image],
            pairs[image],
            row,
            kind=matchings[image].kinds[row],
            score=-negative,
        )
        for negative, image, row in sorted(places)[:most]
    ]


def _missed(matchings: list[Matching], pairs: Pairs, score: float, most: int) -> list[Miss]:
    places = [
        (-float(pairs[item.image][0].areas[row]), item.image, int(row))
        for item in matchings
        for row in (item.counted & (item.taken_at < score)).nonzero()[0]
    ]
    return [
        _miss(matchings[image], pairs[image], row, kind=MISSED, score=None)
        for _, image, row in sorted(places)[:most]
    ]


def _miss(
    matching: Matching,
    pair: tuple[DetectionSample, EncodedDetections],
    row: int,
    *,
    kind: str,
    score: float | None,
) -> Miss:
    sample, found = pair
    objects = sample if kind == MISSED else found
    return Miss(
        kind=kind,
        row=row,
        by_mask=matching.by_mask,
        label=int(objects.labels[row]),
        score=score,
        box_xyxy=tuple(objects.boxes_xyxy[row].tolist()),
        sample=sample,
        found=found,
    )


def _summary(kind: str, scores: CocoScores) -> str:
    found = "  ".join(f"{_label(name)} {percent(v)}" for name, v in scores.numbers().items())
    return f"{kind}: {found}  (at most {scores.max_detections} per class and image)"


def _label(name: str) -> str:
    return name.replace("ap", "AP").replace("ar", "AR").replace("lARge", "large").replace("_", " ")
