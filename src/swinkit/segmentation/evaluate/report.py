"""What an evaluation of a segmenter found. H W map, K classes."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swinkit.segmentation.evaluate.scores import SegmentationScores
from swinkit.task.report_files import finite, write_numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """One image's labels, found and true, small enough to keep.

    Attributes:
        path: the image.
        miou, pixel_accuracy: of this image alone; NaN and 0 where all of it is void.
        predicted, truth: (h, w) labels, every so-manieth pixel of the image's.
    """

    path: Path
    miou: float
    pixel_accuracy: float
    predicted: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationReport:
    """Numbers of a segmenter on a set of images.

    Attributes:
        scores: IoU, accuracies, boundary F1 and confusion.
        boundary_tolerance: of the boundary F1, a part of the diagonal; None: not measured.
        ignore_index: void in the truth.
        seconds: reading and prediction together.
        worst: images of the lowest mean IoU, lowest first.
        examples: some images, evenly spread.
    """

    scores: SegmentationScores
    boundary_tolerance: float | None
    ignore_index: int
    seconds: float
    worst: tuple[Scene, ...]
    examples: tuple[Scene, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self.scores.class_names

    @property
    def images_per_second(self) -> float:
        """Images evaluated per second, reading included."""
        return self.scores.images / max(self.seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            **{name: finite(value) for name, value in self.scores.numbers().items()},
            "boundary_tolerance": self.boundary_tolerance,
            "images": self.scores.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "per_class": self.rows(),
            "confusion": self.scores.confusion.tolist(),
            "worst": [
                {
                    "path": str(scene.path),
                    "miou": finite(scene.miou),
                    "pixel_accuracy": scene.pixel_accuracy,
                }
                for scene in self.worst
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One entry per class; None where there is nothing to divide by."""
        return [
            {
                name: finite(value) if isinstance(value, float) else value
                for name, value in asdict(score).items()
            }
            for score in self.scores.per_class
        ]

    def table(self) -> str:
        """One line per class and a summary, as plain text."""
        width = max(len("class"), *(len(name) for name in self.class_names))
        pixels = max(int(self.scores.confusion.sum()), 1)
        lines = [f"{'class':<{width}}     IoU  accuracy  precision  boundary F1  share"]
        lines += [
            f"{score.name:<{width}}  {_percent(score.iou):>6}  {_percent(score.accuracy):>8}  "
            f"{_percent(score.precision):>9}  {_percent(score.boundary_f1):>11}  "
            f"{_percent(score.pixels / pixels):>5}"
            for score in self.scores.per_class
        ]
        scores = self.scores
        lines.append(
            f"mIoU {_percent(scores.miou)}  pixel accuracy {_percent(scores.pixel_accuracy)}  "
            f"mean accuracy {_percent(scores.mean_accuracy)}  boundary F1 "
            f"{_percent(scores.mean_boundary_f1)}  {scores.images} images, "
            f"{self.images_per_second:.1f} a second"
        )
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """report.json and per_class.csv. Raises SwinkitError where the system refuses."""
        write_numbers(folder, self.to_dict(), self.rows())


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"
