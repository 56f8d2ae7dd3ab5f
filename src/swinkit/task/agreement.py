"""How far answers of one network lie from those of another that should give the same."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Agreement(NamedTuple):
    """Two networks on the same images.

    Attributes:
        difference: the largest of any output, in units of that output's standard deviation.
        same: share of places or images whose best class is the same. Of a detector the share of
            objects that both find, and `difference` is theirs.
    """

    difference: float
    same: float


def compare_tensors(found: Sequence[Tensor], expected: Sequence[Tensor]) -> Agreement:
    """Of outputs in the same order, with classes or channels along axis 1."""
    pairs = list(zip(found, expected, strict=True))
    return Agreement(
        max(_difference(ours, theirs) for ours, theirs in pairs),
        min(float((ours.argmax(1) == theirs.argmax(1)).double().mean()) for ours, theirs in pairs),
    )


def _difference(found: Tensor, expected: Tensor) -> float:
    """What is not finite is off without end."""
    gap = float((found - expected).abs().max() / expected.std(correction=0).clamp_min(1e-12))
    return gap if gap == gap else float("inf")
