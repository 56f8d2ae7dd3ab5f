"""What an inspection found: tables, remarks and pictures. h w picture."""

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from swinkit.data.problems import Problem, count_kinds
from swinkit.data.scan import check_images
from swinkit.settings import SizeHW

Sample = TypeVar("Sample")

FEW_SIZES = 3  # image sizes that are named


@dataclass(frozen=True, kw_only=True)
class FactTable:
    """A table of numbers.

    Attributes:
        title: what they are.
        header: names of the columns.
        rows: cells as text, the first of each row its name.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnImage:
    """A picture of a sample.

    Attributes:
        caption: split, name and size.
        image_rgb: (h, w, 3) uint8, the annotations drawn.
    """

    caption: str
    image_rgb: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """What a data set holds.

    Attributes:
        path: of the data set.
        title: task and kind of the data set.
        tables: counts and sizes.
        notes: remarks, one line each.
        problems: what is wrong, item by item.
        pictures: some samples.
        legend: names and (3,) uint8 colors of the classes, where the pictures do not name them.
    """

    path: Path
    title: str
    tables: tuple[FactTable, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    pictures: tuple[DrawnImage, ...] = field(default=(), repr=False)
    legend: tuple[tuple[str, np.ndarray], ...] = field(default=(), repr=False)

    def kinds(self) -> dict[str, int]:
        """Number of problems of each kind, most frequent first."""
        return count_kinds(self.problems)


def sizes_table(sizes_by_split: Mapping[str, list[SizeHW]]) -> FactTable:
    """Number and (height, width) of the images of each split."""
    return FactTable(
        title="Images",
        header=("split", "images", "heights", "widths", "height x width: images"),
        rows=tuple(_size_row(split, sizes) for split, sizes in sizes_by_split.items()),
    )


def _size_row(name: str, sizes_hw: list[SizeHW]) -> tuple[str, ...]:
    """A split's images: how many, smallest, median and largest sides, and frequent sizes."""
    if not sizes_hw:
        return (name, "0", "-", "-", "-")
    sides = np.array(sizes_hw)
    found, counts = np.unique(sides, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:FEW_SIZES]
    named = ", ".join(
        f"{h}x{w}: {n}" for (h, w), n in zip(found[order], counts[order], strict=True)
    )
    more = f", {len(found) - FEW_SIZES} more" if len(found) > FEW_SIZES else ""
    return (
        name,
        str(len(sizes_hw)),
        f"{sides[:, 0].min()}..{sides[:, 0].max()}",
        f"{sides[:, 1].min()}..{sides[:, 1].max()}",
        named + more,
    )


def file_sizes(paths: list[Path]) -> list[SizeHW]:
    """(height, width) of the files that can be opened."""
    found = check_images(paths, scan="none", channels=3)
    return [size for size in found.values() if not isinstance(size, str)]


def select_samples(
    parts: Mapping[str, Sequence[Sample]],
    count: int,
    seed: int,
    classes_of: Callable[[Sample], Iterable[Hashable]],
) -> list[tuple[str, Sample]]:
    """A random selection in which every class is seen, as long as there is room.

    Args:
        parts: samples to select from, by split.
        count: how many, at most.
        seed: decides.
        classes_of: the classes on a sample.

    Returns:
        The selected ones with their split, in the order of `parts`.
    """
    samples = [(split, sample) for split, part in parts.items() for sample in part]
    order = list(range(len(samples)))
    random.Random(seed).shuffle(order)
    selected: list[int] = []
    seen: set[Hashable] = set()
    for index in order:
        new = set(classes_of(samples[index][1])) - seen
        if new and len(selected) < count:
            selected.append(index)
            seen |= new
    rest = [index for index in order if index not in set(selected)]
    selected += rest[: count - len(selected)]
    return [samples[index] for index in sorted(selected)]
