"""What an evaluation found. K classes; row of a confusion matrix: truth, column: prediction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from swinkit.console import text_table
from swinkit.errors import SwinkitError
from swinkit.images.preprocessing import Normalization
from swinkit.pictures.drawing import save_figure
from swinkit.pictures.figures import confusion_matrix, image_grid, shorten
from swinkit.task.evaluating import WIDEST_PERCENT, finite, percent, write_numbers


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How one class fared; a ratio without any case is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Images of this class."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An image that was classified wrongly."""

    path: str
    truth: str
    predicted: str
    confidence: float
    """Probability of the wrong class."""
    truth_probability: float
    """Probability of the right one."""


@dataclass(frozen=True, kw_only=True)
class ClassificationReport:
    """Numbers of a classifier on a set of images.

    Attributes:
        top1, top5: part of the images whose class is the most probable one, among the five most
            probable ones (among all, where there are fewer).
        loss: mean cross-entropy in nats.
        calibration_error: expected difference of confidence and accuracy, 15 bins.
        images: evaluated images; `seconds` includes reading them.
        class_names: K names.
        confusion: (K, K) int64 counts, row truth, column prediction.
        mistakes: the worst ones, least probable truth first.

    Raises:
        SwinkitError: shapes that do not fit each other.
    """

    top1: float
    top5: float
    loss: float
    calibration_error: float
    images: int
    seconds: float
    class_names: tuple[str, ...]
    confusion: np.ndarray
    mistakes: tuple[Mistake, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.class_names),) * 2
        if self.confusion.shape != expected:
            raise SwinkitError(
                f"confusion: expected shape {expected}, one row and column for each class name, "
                f"got {self.confusion.shape}"
            )

    @property
    def images_per_second(self) -> float:
        """Images evaluated per second, reading included."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Precision, recall and F1 of each class."""
        right = np.diag(self.confusion).astype(float)
        support = self.confusion.sum(axis=1)
        predicted = self.confusion.sum(axis=0)
        precision = right / np.maximum(predicted, 1)
        recall = right / np.maximum(support, 1)
        f1 = 2 * right / np.maximum(predicted + support, 1)
        columns = (values.tolist() for values in (precision, recall, f1, support))
        return tuple(
            ClassScore(name=name, precision=p, recall=r, f1=f, support=images)
            for name, p, r, f, images in zip(self.class_names, *columns, strict=True)
        )

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have images."""
        scores = [score.f1 for score in self.per_class if score.support]
        return sum(scores) / max(len(scores), 1)

    def numbers(self) -> dict[str, float]:
        """Accuracies and loss."""
        return {"top1": self.top1, "top5": self.top5, "loss": self.loss}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "top1": self.top1,
            "top5": self.top5,
            "loss": finite(self.loss),
            "macro_f1": self.macro_f1,
            "calibration_error": finite(self.calibration_error),
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "per_class": [asdict(score) for score in self.per_class],
            "confusion": self.confusion.tolist(),
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
        }

    def table(self) -> str:
        """One line per class and a summary, as plain text."""
        rows = [
            (each.name, *map(percent, (each.precision, each.recall, each.f1)), str(each.support))
            for each in self.per_class
        ]
        lines = text_table(
            ("class", "precision", "recall", "f1", "images"), rows, narrowest=WIDEST_PERCENT
        )
        lines.append(
            f"top-1 {self.top1:.2%}  top-5 {self.top5:.2%}  loss {self.loss:.4f}  "
            f"macro F1 {self.macro_f1:.2%}  calibration error {self.calibration_error:.2%}  "
            f"{self.images} images, {self.images_per_second:.0f} a second"
        )
        return "\n".join(lines)

    def write(self, folder: Path, preprocessing: Normalization | None = None) -> None:
        """report.json, per_class.csv, and pictures of the confusion and of the worst mistakes.

        Args:
            preprocessing: the model's, which tells how its images are shown; None: as pictures.

        Raises:
            SwinkitError: the system refuses.
        """
        write_numbers(folder, self.to_dict(), [asdict(score) for score in self.per_class])
        confusion = confusion_matrix(self.confusion, self.class_names)
        save_figure(confusion, folder / "confusion_matrix.png")
        save_figure(worst_mistakes(self.mistakes, preprocessing), folder / "worst_mistakes.png")


def worst_mistakes(
    mistakes: Sequence[Mistake], preprocessing: Normalization | None = None
) -> Figure:
    """The pictures that were classified worst, with the wrong and the right name.

    Args:
        mistakes: worst first; an image that is gone by now leaves its place empty.
        preprocessing: see `ClassificationReport.write`.
    """
    read = (preprocessing or Normalization()).read_picture
    shown = [read(mistake.path) for mistake in mistakes]
    titles = [
        f"{shorten(item.predicted)} {item.confidence:.0%}\n"
        f"is {shorten(item.truth)} {item.truth_probability:.0%}\n{shorten(Path(item.path).name)}"
        for item in mistakes
    ]
    heading = "worst mistakes: what was said, what it is, which file"
    return image_grid(shown, titles, heading if mistakes else "no mistakes")
