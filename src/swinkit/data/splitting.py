"""Choosing a split, and holding out of the training images those that a data set lacks."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from swinkit.data.config import DataConfig
from swinkit.errors import DataError

if TYPE_CHECKING:
    from swinkit.data.loading import HasPath

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

AnySample = TypeVar("AnySample", bound="HasPath")


def choose_split(
    parts: dict[str, list[AnySample]], split: str | None, path: Path
) -> list[AnySample]:
    """The samples of a split; None takes "test", else "val", else every image: the first with any.

    Raises:
        DataError: no samples there.
    """
    if split is None:
        chosen = next((name for name in ("test", "val", "all", "train") if parts.get(name)), "all")
    else:
        chosen = SPLIT_ALIASES.get(split.lower(), split)
    if not parts.get(chosen):
        held = [name for name, samples in parts.items() if samples]
        raise DataError(
            f"{path}: has no images in the {chosen} split, only in {name_some(held)}; name another"
        )
    return parts[chosen]


def complete_splits(
    parts: dict[str, list[AnySample]], config: DataConfig, notes: list[str]
) -> dict[str, list[AnySample]]:
    """The samples of "train", "val" and, where there is one or one is wanted, "test".

    Args:
        parts: samples under the names of their splits, or of "all".
        config: says how much to hold out.
        notes: gets a line where something is taken from the training images.

    Raises:
        DataError: nothing is left to train on or to validate with.
    """
    splits = {name: samples for name, samples in parts.items() if name != "all"}
    rest = parts.get("all", parts.get("train", []))
    wanted = {}
    if "val" not in splits:
        wanted["val"] = config.val_fraction
    if "test" not in splits and config.test_fraction > 0:
        wanted["test"] = config.test_fraction
    if wanted:
        splits |= hold_out_samples(rest, wanted, config.split_seed, config.path)
        if "all" not in parts:
            notes.append(f"{config.path}: no {' and no '.join(wanted)} split: taken from train")
    if not splits.get("train"):
        raise DataError(f"{config.path}: no training images are left; add some")
    if not splits["val"]:
        raise DataError(f"{config.path}: no image is left for validation; two are needed at least")
    return splits


def hold_out_samples(
    samples: list[AnySample], fractions: dict[str, float], seed: int, root: Path
) -> dict[str, list[AnySample]]:
    """Split by image: the fractions under their names, the rest under "train", each sorted.

    The choice depends on the seed and the paths below `root`, on nothing else.
    """
    base = root.expanduser() if root.is_dir() else root.expanduser().parent

    def key(sample: AnySample) -> str:
        path = sample.path
        return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()

    ordered = sorted(samples, key=key)
    random.Random(f"{seed}/images").shuffle(ordered)
    parts: dict[str, list[AnySample]] = {}
    start = 0
    for name, fraction in fractions.items():
        count = min(len(ordered) - 1 - start, max(1, round(len(ordered) * fraction)))
        parts[name] = sorted(ordered[start : start + max(0, count)], key=key)
        start += max(0, count)
    parts["train"] = sorted(ordered[start:], key=key)
    return parts


def name_some(items: list[str], most: int = 5) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
