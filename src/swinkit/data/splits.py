"""The samples of a data set in splits; those that a data set lacks are held out of its training
images. K classes."""

import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from swinkit.console import text_table
from swinkit.data.config import DataConfig
from swinkit.data.problems import Problem, describe_all
from swinkit.errors import DataError, SwinkitError

SPLIT_NAMES = ("train", "val", "test")
SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


class HasPath(Protocol):
    """A sample names its image."""

    @property
    def path(self) -> Path: ...


Sample = TypeVar("Sample", bound=HasPath)
AnySplits = TypeVar("AnySplits", bound="Splits[Any]")


@dataclass(frozen=True, kw_only=True)
class Splits(ABC, Generic[Sample]):
    """The samples of each split.

    Attributes:
        train, val: samples, sorted by path.
        test: the same, or None where there is no test split.
        class_names: K names; a sample's label is an index into them.
        notes: remarks on what was read, one line each.
        problems: what was wrong, item by item.
        channels: of the images, as read.
    """

    train: list[Sample] = field(default_factory=list)
    val: list[Sample] = field(default_factory=list)
    test: list[Sample] | None = None
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    channels: int = 3

    def by_name(self) -> dict[str, list[Sample]]:
        """The splits that exist, under their names."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    @abstractmethod
    def counts(self) -> dict[str, dict[str, int]]:
        """Images, objects or pixels of each class, per split, zeros included."""

    def summary(self) -> str:
        """A table of plain text, classes by splits, followed by the notes and problems."""
        table = text_table(["class", *self.by_name()], self._summary_rows())
        return "\n".join([*table, *describe_all(self.notes, self.problems)])

    def _summary_rows(self) -> list[list[str]]:
        """A name, and a cell for each split."""
        counts = self.counts()
        return [[name, *(str(counts[s][name]) for s in counts)] for name in self.class_names]


def select_split(parts: Mapping[str, Sequence[object]], split: str | None, path: Path) -> str:
    """The name of a split; None takes "test", else "val", else every image: the first with any.

    Raises:
        DataError: no samples there.
    """
    if split is None:
        name = next((name for name in ("test", "val", "all", "train") if parts.get(name)), "all")
    else:
        name = SPLIT_ALIASES.get(split.lower(), split)
    if not parts.get(name):
        held = [name for name, samples in parts.items() if samples]
        if held == ["all"]:
            raise DataError(f"{path}: has no {name} split; leave the split out to take all images")
        raise DataError(
            f"{path}: has no images in the {name} split, only in {name_some(held)}; name another"
        )
    return name


def load_samples(
    load_parts: Callable[
        [DataConfig, tuple[str, ...] | None], tuple[AnySplits, dict[str, list[Sample]]]
    ],
    path: str | Path,
    class_names: tuple[str, ...] | None = None,
    *,
    split: str | None = None,
) -> tuple[list[Sample], AnySplits]:
    """The samples to evaluate a trained model on, or to show.

    Args:
        load_parts: reads a data set of the task.
        path: where it is.
        class_names: the model's classes; None takes those of the files.
        split: "train", "val" or "test"; None takes the test split, else the validation split,
            else, where there are no splits, every image. Of a data set without splits, "train" and
            "val" are those of training with the default fraction and seed.

    Returns:
        The samples, and the data set they come from: its names, notes and problems.

    Raises:
        DataError: no such split, or a class that the model does not know.
    """
    config = DataConfig(path=Path(path))
    loaded, parts = load_parts(config, class_names)
    notes = list(loaded.notes)
    if lacks_split(parts, split):
        parts = complete_splits(parts, config, notes)
    name = select_split(parts, split, config.path)
    notes += remark_on_all(parts, name, config.path)
    return parts[name], replace(loaded, notes=tuple(notes))


def lacks_split(parts: Mapping[str, Sequence[object]], split: str | None) -> bool:
    """Whether a split is wanted that training takes from images that no one split."""
    return split in ("train", "val") and "all" in parts and not parts.get(split)


def remark_on_all(parts: Mapping[str, Sequence[object]], name: str, path: Path) -> list[str]:
    """What is to know of a measurement on all images of a data set without splits."""
    if name != "all":
        return []
    return [
        f"{path}: has no splits: all {len(parts[name])} images count, also those that a run was "
        "trained on; --split val takes those that training holds out by itself"
    ]


def fill_splits(loaded: AnySplits, parts: dict[str, list[Any]], config: DataConfig) -> AnySplits:
    """A data set with its samples, those of absent splits taken from the training images.

    Raises:
        DataError: nothing is left to train on or to validate with.
    """
    notes = list(loaded.notes)
    splits = complete_splits(parts, config, notes)
    return replace(
        loaded,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        notes=tuple(notes),
    )


def complete_splits(
    parts: dict[str, list[Sample]],
    config: DataConfig,
    notes: list[str],
    class_of: Callable[[Sample], str] | None = None,
) -> dict[str, list[Sample]]:
    """The samples of "train", "val" and, where there is one or one is wanted, "test".

    Args:
        parts: samples under the names of their splits, or of "all".
        config: says how much to hold out.
        notes: gets a line where something is taken from the training images.
        class_of: as in `hold_out`.

    Raises:
        DataError: nothing is left to train on or to validate with.
    """
    splits = {name: samples for name, samples in parts.items() if name != "all"}
    rest = parts.get("all", parts.get("train", []))
    fractions = {}
    if "val" not in splits:
        fractions["val"] = config.val_fraction
    if "test" not in splits and config.test_fraction > 0:
        fractions["test"] = config.test_fraction
    if fractions:
        splits |= hold_out(rest, fractions, config.split_seed, config.path, class_of)
        if "all" not in parts:
            notes.append(f"{config.path}: no {' and no '.join(fractions)} split: taken from train")
    if not splits.get("train"):
        raise DataError(f"{config.path}: no training images are left; add some")
    if not splits["val"]:
        needed = "every class needs two images or more" if class_of else "two are needed at least"
        raise DataError(f"{config.path}: no image is left for validation; {needed}")
    return {name: splits[name] for name in SPLIT_NAMES if name in splits}


def hold_out(
    samples: Sequence[Sample],
    fractions: dict[str, float],
    seed: int,
    root: Path,
    class_of: Callable[[Sample], str] | None = None,
) -> dict[str, list[Sample]]:
    """Split by image: the fractions under their names, the rest under "train", each sorted.

    The draw depends on the seed, the class and the paths below `root`, on nothing else.

    Args:
        class_of: splits class by class: every class keeps a training image, and gives at least one
            to each split while it has enough. None treats all images as one class.
    """
    base = root.expanduser()
    base = base if base.is_dir() else base.parent

    def key(sample: Sample) -> str:
        path = sample.path
        return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()

    by_class: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class["images" if class_of is None else class_of(sample)].append(sample)
    parts: dict[str, list[Sample]] = {name: [] for name in ("train", *fractions)}
    for name, members in by_class.items():
        ordered = sorted(members, key=key)
        random.Random(f"{seed}/{name}").shuffle(ordered)
        start = 0
        for part, fraction in fractions.items():
            count = min(len(ordered) - 1 - start, max(1, round(len(ordered) * fraction)))
            parts[part] += ordered[start : start + count]
            start += count
        parts["train"] += ordered[start:]
    return {name: sorted(part, key=key) for name, part in parts.items()}


def category_ids_of(
    class_names: Sequence[str], category_ids: Sequence[int] | None
) -> Sequence[int]:
    """COCO's K category ids, one per class; by default 1, 2, ...

    Raises:
        SwinkitError: another number of ids than of classes.
    """
    if category_ids is None:
        return range(1, len(class_names) + 1)
    if len(category_ids) != len(class_names):
        raise SwinkitError(
            f"category_ids: expected {len(class_names)}, one per class, got {len(category_ids)}"
        )
    return category_ids


def name_some(items: Sequence[str], most: int = 5) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
