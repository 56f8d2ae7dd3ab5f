"""COCO's twelve numbers and the curves behind them.

K classes, T overlap thresholds (0.50 to 0.95 by 0.05), R recalls (0 to 1 by 0.01).
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from swinkit.task.evaluating import finite

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, kw_only=True)
class ClassAP:
    """Average precision of one class; NaN for a class without objects."""

    name: str
    ap: float
    ap50: float
    ap75: float
    objects: int
    """Objects in the truth, crowds left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoScores:
    """COCO's twelve numbers; NaN where no object of such a size exists (COCO writes -1).

    Attributes:
        ap, ap50, ap75: mean over the overlaps 0.50 to 0.95, and at 0.50 and 0.75.
        ap_small, ap_medium, ap_large: of objects up to 32², up to 96², and larger.
        ar_1, ar_10, ar_max: average recall with that many detections per class and image;
            `ar_max` with `max_detections`, as all other numbers.
        ar_small, ar_medium, ar_large: average recall by size.
        max_detections: detections per class and image; COCO's own tables have 100.
        per_class: in the order of the class names.
        precision50, precision75: (K, R) precision at the recalls `RECALLS`, at least as high as at
            any greater recall; NaN for classes without objects.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar_1: float
    ar_10: float
    ar_max: float
    ar_small: float
    ar_medium: float
    ar_large: float
    max_detections: int
    per_class: tuple[ClassAP, ...]
    precision50: np.ndarray
    precision75: np.ndarray

    def numbers(self) -> dict[str, float]:
        """The twelve numbers by name, in COCO's order."""
        return {name: getattr(self, name) for name in number_names()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; None where a number does not exist."""
        per_class = [
            {
                name: value if name in ("name", "objects") else finite(value)
                for name, value in asdict(score).items()
            }
            for score in self.per_class
        ]
        return {
            **{name: finite(value) for name, value in self.numbers().items()},
            "max_detections": self.max_detections,
            "per_class": per_class,
        }


def number_names() -> list[str]:
    """Fields of `CocoScores` that are COCO's twelve numbers, in its order."""
    return [field.name for field in fields(CocoScores)][:12]


@dataclass(frozen=True, kw_only=True)
class CocoResult:
    """Scores of the boxes and, where both the truth and the model have masks, of the masks."""

    box: CocoScores
    mask: CocoScores | None
    images: int

    def numbers(self) -> dict[str, float]:
        """AP, AP50 and AP75 of boxes, and of masks where there are any."""
        return {
            f"{kind}_{name}": value
            for kind, found in self.by_kind().items()
            for name, value in (("ap", found.ap), ("ap50", found.ap50), ("ap75", found.ap75))
        }

    def by_kind(self) -> dict[str, CocoScores]:
        """Of "box" and, where there are any, of "mask"."""
        return {"box": self.box} if self.mask is None else {"box": self.box, "mask": self.mask}

    @property
    def main(self) -> CocoScores:
        """Of the masks where there are any, else of the boxes."""
        return self.mask or self.box


def scores_of(
    counted: dict[str, Any], names: tuple[str, ...], objects: np.ndarray, most: int
) -> CocoScores:
    """Scores from the tables that COCO's evaluation accumulates.

    Args:
        counted: "precision" (T, R, K, sizes, limits) and "recall" (T, K, sizes, limits); the sizes
            are all, small, medium, large; -1 stands where there is no object.
        names: K names.
        objects: (K,) objects in the truth.
        most: the last of the three limits on detections.
    """
    precision = np.asarray(counted["precision"])
    recall = np.asarray(counted["recall"])
    values = [_mean(precision[part, :, :, 0, -1]) for part in (slice(None), [0], [5])]
    values += [_mean(precision[:, :, :, size, -1]) for size in (1, 2, 3)]
    values += [_mean(recall[:, :, 0, limit]) for limit in (0, 1, 2)]
    values += [_mean(recall[:, :, size, -1]) for size in (1, 2, 3)]
    per_class = tuple(
        ClassAP(
            name=name,
            ap=_mean(precision[:, :, label, 0, -1]),
            ap50=_mean(precision[0, :, label, 0, -1]),
            ap75=_mean(precision[5, :, label, 0, -1]),
            objects=int(objects[label]),
        )
        for label, name in enumerate(names)
    )
    curves = [np.where(precision[t, :, :, 0, -1].T < 0, np.nan, 0) for t in (0, 5)]
    return CocoScores(
        **dict(zip(number_names(), values, strict=True)),
        max_detections=most,
        per_class=per_class,
        precision50=curves[0] + precision[0, :, :, 0, -1].T,
        precision75=curves[1] + precision[5, :, :, 0, -1].T,
    )


def _mean(values: np.ndarray) -> float:
    present = values[values > -1]
    return float(present.mean()) if present.size else math.nan
