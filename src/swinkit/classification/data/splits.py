"""From a path to labeled, checked images, in splits. K classes; NumPy only."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.classification.data.files import read_files
from swinkit.classification.data.folders import LabeledPath
from swinkit.data.bands import channels_of, recognize_bands
from swinkit.data.checking import bad_images
from swinkit.data.config import DataConfig
from swinkit.data.problems import Problem, describe_all, image_problem
from swinkit.data.splits import (
    Splits,
    complete_splits,
    lacks_split,
    name_some,
    remark_on_all,
    select_split,
)
from swinkit.errors import DataError


@dataclass(frozen=True)
class ClassificationSample:
    """One image and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True, kw_only=True)
class ClassificationSplits(Splits[ClassificationSample]):
    """Images with their labels, in splits; class names are sorted where none are given."""

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per class, per split."""
        counted = {}
        for name, samples in self.by_name().items():
            found = Counter(sample.label for sample in samples)
            counted[name] = {label: found[index] for index, label in enumerate(self.class_names)}
        return counted

    def class_weights(self) -> np.ndarray:
        """(K,) float32 weights of a loss, inverse to each class's training images, mean 1."""
        counts = np.array(list(self.counts()["train"].values()), np.float64)
        weights = 1 / np.maximum(counts, 1)
        return (weights / weights.mean()).astype(np.float32)

    def _summary_rows(self) -> list[list[str]]:
        totals = (str(len(samples)) for samples in self.by_name().values())
        return [*super()._summary_rows(), ["all", *totals]]


def load_classification(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> ClassificationSplits:
    """Find, check, split and label the images of a data set.

    Splits that the data set does not have are taken from its training images by the fractions of
    `config`, class by class, the same ones on every machine.

    Args:
        config: where the data is and how to treat it.
        class_names: the classes and their order; None takes those of the training images, sorted.

    Raises:
        DataError: nothing there, fewer than two classes, a class without training images that
            another split has, or bad images where they are refused.
    """
    files = read_files(config.path, config.kind)
    images = [image.path for part in files.by_split.values() for image in part]
    config, seen = recognize_bands(config, images)
    notes = files.notes + seen
    found, problems = _check(files.by_split, config)
    lost = sorted(_classes(files.by_split) - _classes(found))
    if lost:
        notes.append(f"{config.path}: no image of {name_some(lost)} can be read; left out")
    complete = complete_splits(found, config, notes, class_of=lambda image: image.label)
    names = class_names or tuple(sorted({name for _, name in complete["train"]}))
    if len(names) < 2:
        raise DataError(
            f"{config.path}: only one class ({name_some(names)}) has training images; "
            "a classifier needs two or more"
            + (f" (of {name_some(lost)} none can be read: {problems[0].done})" if lost else "")
        )
    splits = {
        name: label_samples(images, names, f"{config.path}: the {name} split")
        for name, images in complete.items()
    }
    for split in splits:
        absent = sorted(set(names) - {name for _, name in complete[split]})
        if absent:
            notes.append(f"{config.path}: the {split} split has no image of {name_some(absent)}")
    return ClassificationSplits(
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        class_names=names,
        notes=tuple(notes),
        problems=(*files.problems, *problems),
        channels=channels_of(config),
    )


def _classes(by_split: dict[str, list[LabeledPath]]) -> set[str]:
    return {label for images in by_split.values() for _, label in images}


def load_classification_samples(
    path: str | Path, class_names: tuple[str, ...], *, split: str | None = None
) -> list[ClassificationSample]:
    """The samples to evaluate a trained model on.

    Args:
        path: anything that `load_classification` reads.
        class_names: the model's classes.
        split: "train", "val" or "test"; None takes the test split, else the validation split,
            else, where there are no splits, every image.

    Raises:
        DataError: no such split, or a class that the model does not know.
    """
    return read_samples(path, class_names, split=split)[0]


def read_samples(
    path: str | Path, class_names: tuple[str, ...], *, split: str | None = None
) -> tuple[list[ClassificationSample], list[str]]:
    """`load_classification_samples`, and a line for each remark and problem of the files."""
    where = Path(path).expanduser()
    files = read_files(where, need_train=False)
    parts, notes = files.by_split, list(files.notes)
    if lacks_split(parts, split):
        config = DataConfig(path=where)
        parts = complete_splits(_check(parts, config)[0], config, notes, lambda image: image.label)
    name = select_split(parts, split, where)
    notes += remark_on_all(parts, name, where)
    samples = label_samples(parts[name], class_names, f"{where}: the {name} split")
    return samples, describe_all(notes, files.problems)


def _check(
    found: dict[str, list[LabeledPath]], config: DataConfig
) -> tuple[dict[str, list[LabeledPath]], tuple[Problem, ...]]:
    """The images that can be read, and what is wrong with the others."""
    paths = [image.path for images in found.values() for image in images]
    bad = bad_images(paths, config)
    if not bad:
        return found, ()
    good = {
        split: [image for image in images if image.path not in bad]
        for split, images in found.items()
    }
    return good, tuple(image_problem(path, reason) for path, reason in bad.items())


def label_samples(
    labeled: list[LabeledPath], class_names: tuple[str, ...], where: str
) -> list[ClassificationSample]:
    """Samples sorted by path, names turned into indices.

    Raises:
        DataError: a class that `class_names` does not hold.
    """
    index = {name: place for place, name in enumerate(class_names)}
    unknown = sorted({name for _, name in labeled} - set(index))
    if unknown:
        raise DataError(
            f"{where} has {'class' if len(unknown) == 1 else 'classes'} "
            f"{name_some(unknown)}, unknown to the training classes "
            f"({name_some(class_names)}); rename or remove, or evaluate with --class-names"
        )
    samples = (ClassificationSample(path, index[name]) for path, name in labeled)
    return sorted(samples, key=lambda sample: sample.path)
