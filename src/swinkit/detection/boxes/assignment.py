"""Which candidate boxes stand for which objects, and which of them an image trains on.

Legend: N candidates, G ground-truth objects, I ignored regions.
"""

from typing import Protocol

import torch
from torch import Tensor

from swinkit.detection.boxes.geometry import pairwise_coverage, pairwise_iou

IGNORED = -1
BACKGROUND = 0
# A candidate that a crowd region covers by more than this is not taken for background.
INSIDE_IGNORED = 0.5
# Candidates that are compared at once: what lies between stays in a processor's cache.
COMPARED_AT_ONCE = 1 << 14


def assign(
    candidates: Tensor,
    objects: Tensor,
    *,
    positive: float,
    negative: float,
    min_positive: float,
    low_quality: bool,
    ignored: Tensor | None = None,
) -> Tensor:
    """Assign (N, 4) candidates to (G, 4) objects by their IoU.

    A candidate belongs to the object that it overlaps most, if by `positive` or more; it is
    background below `negative`. With `low_quality` every candidate whose IoU equals the best that
    an object has belongs to it, if that is at least `min_positive` and more than nothing; of two
    such objects the later wins.

    Args:
        ignored: (I, 4) crowd regions; candidates more than half inside one are not background.

    Returns:
        (N,) int64: k + 1 for a candidate of object k, 0 for background, -1 for neither.

    Source: MaxIoUAssigner of mmdet, which also counts as a match, from a `min_positive` of 0, that
    an object overlaps nothing; and which takes true matches inside crowds away.
    """
    count = candidates.shape[0]
    assigned = torch.full((count,), IGNORED, dtype=torch.int64, device=candidates.device)
    if objects.shape[0] == 0 or count == 0:
        assigned.fill_(BACKGROUND)
    else:
        parts = candidates.split(COMPARED_AT_ONCE)
        overlaps = torch.cat([pairwise_iou(objects, part) for part in parts], dim=1)  # G N
        most, which = overlaps.max(dim=0)
        assigned.masked_fill_(most < negative, BACKGROUND)
        assigned = torch.where(most >= positive, which + 1, assigned)
        if low_quality:
            best_of = _best_of(overlaps, min_positive)
            assigned = torch.where(best_of > 0, best_of, assigned)
    if ignored is not None and ignored.shape[0] > 0 and count > 0:
        _leave_out(assigned, candidates, ignored)
    return assigned


def _leave_out(assigned: Tensor, candidates: Tensor, ignored: Tensor) -> None:
    """Make IGNORED, in place, of the background that lies mostly inside an ignored region."""
    covered = pairwise_coverage(candidates, ignored).amax(1) > INSIDE_IGNORED
    assigned.masked_fill_(covered & (assigned == BACKGROUND), IGNORED)


def _best_of(overlaps: Tensor, min_positive: float) -> Tensor:
    """(N,) k + 1 where a candidate is the best, or as good, that object k has; else 0. From G N."""
    best = overlaps.amax(1, keepdim=True)
    # Nothing equals the 2 that stands for a best that is too small.
    wanted = torch.where((best >= min_positive) & (best > 0), best, 2.0)
    rows, columns = (overlaps == wanted).nonzero(as_tuple=True)
    found = torch.zeros(overlaps.shape[1], dtype=torch.int64, device=overlaps.device)
    return found.scatter_reduce_(0, columns, rows + 1, "amax")


class Sampler(Protocol):
    """Draws from (N,) assignments (-1 neither, 0 background, k + 1 object k)."""

    def __call__(
        self, assigned: Tensor, number: int, positive_fraction: float
    ) -> tuple[Tensor, Tensor]:
        """Indices of positives and of negatives, each ascending."""
        ...


class RandomSampler:
    """At most `number` at random: positives up to their fraction, background for the rest.

    Source: RandomSampler of mmdet, which draws from other random numbers.
    """

    def __call__(
        self, assigned: Tensor, number: int, positive_fraction: float
    ) -> tuple[Tensor, Tensor]:
        positive = _draw((assigned > 0).nonzero().flatten(), int(number * positive_fraction))
        negative = _draw((assigned == 0).nonzero().flatten(), number - positive.numel())
        return positive, negative


def _draw(indices: Tensor, number: int) -> Tensor:
    if indices.numel() <= number:
        return indices
    drawn = torch.randperm(indices.numel(), device=indices.device)[:number]
    return indices[drawn].sort().values
