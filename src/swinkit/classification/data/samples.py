"""Images with their labels, in splits. K classes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.scan import ScanReport
from swinkit.data.splitting import name_some
from swinkit.data.tables import align
from swinkit.errors import DataError

Labelled = tuple[Path, str]  # an image and the name of its class


@dataclass(frozen=True)
class Sample:
    """One image and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The samples of each split.

    Attributes:
        train, val: samples, sorted by path.
        test: the same, or None where there is no test split.
        class_names: K names, sorted; a sample's label is an index into them.
        notes: what was found on the way that a person should know, one line each.
        scan: what the check of the images found; None where it was switched off.
    """

    train: list[Sample]
    val: list[Sample]
    test: list[Sample] | None
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    scan: ScanReport | None = None

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per class, per split."""
        return {
            name: class_counts(samples, self.class_names)
            for name, samples in self.by_name().items()
        }

    def by_name(self) -> dict[str, list[Sample]]:
        """The splits that exist, under their names."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    def class_weights(self) -> np.ndarray:
        """(K,) float32 weights of a loss, inverse to each class's training images, mean 1."""
        counts = np.array(list(self.counts()["train"].values()), np.float64)
        weights = 1 / np.maximum(counts, 1)
        return (weights / weights.mean()).astype(np.float32)

    def summary(self) -> str:
        """A table of plain text, classes by splits, followed by the notes and bad images."""
        counts = self.counts()
        rows = [["class", *counts]]
        rows += [[name, *(str(counts[s][name]) for s in counts)] for name in self.class_names]
        rows += [["all", *(str(sum(counts[split].values())) for split in counts)]]
        lines = align(rows)
        lines += [f"note: {note}" for note in self.notes]
        if self.scan is not None and self.scan.bad:
            lines += [f"left out: {path}: {reason}" for path, reason in self.scan.bad]
        return "\n".join(lines)


def class_counts(samples: list[Sample], class_names: tuple[str, ...]) -> dict[str, int]:
    """Images of each class, zeros included."""
    found = Counter(sample.label for sample in samples)
    return {name: found[index] for index, name in enumerate(class_names)}


def label_samples(
    labelled: list[Labelled], class_names: tuple[str, ...], where: str
) -> list[Sample]:
    """Samples sorted by path, names turned into indices.

    Raises:
        DataError: a class that `class_names` does not hold.
    """
    index = {name: place for place, name in enumerate(class_names)}
    unknown = sorted({name for _, name in labelled} - set(index))
    if unknown:
        raise DataError(
            f"{where} has {'class' if len(unknown) == 1 else 'classes'} "
            f"{name_some(unknown)}, unknown to the training classes "
            f"({name_some(list(class_names))}); rename or remove"
        )
    return sorted((Sample(path, index[name]) for path, name in labelled), key=lambda s: s.path)
