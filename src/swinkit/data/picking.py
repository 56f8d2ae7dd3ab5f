"""Which samples a page shows."""

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Sample = TypeVar("Sample")


def choose_samples(
    parts: Mapping[str, Sequence[Sample]],
    count: int,
    seed: int,
    classes_of: Callable[[Sample], Iterable[Hashable]],
) -> list[tuple[str, Sample]]:
    """A random choice in which every class is seen, as long as there is room.

    Args:
        parts: samples to choose from, by split.
        count: how many, at most.
        seed: decides.
        classes_of: the classes on a sample.

    Returns:
        The chosen ones with their split, in the order of `parts`.
    """
    samples = [(split, sample) for split, part in parts.items() for sample in part]
    order = list(range(len(samples)))
    random.Random(seed).shuffle(order)
    chosen: list[int] = []
    seen: set[Hashable] = set()
    for index in order:
        new = set(classes_of(samples[index][1])) - seen
        if new and len(chosen) < count:
            chosen.append(index)
            seen |= new
    rest = [index for index in order if index not in set(chosen)]
    chosen += rest[: count - len(chosen)]
    return [samples[index] for index in sorted(chosen)]
