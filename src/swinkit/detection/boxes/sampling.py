"""Which of the assigned candidates an image trains on. N candidates."""

from typing import Protocol

import torch
from torch import Tensor


class Sampler(Protocol):
    """Chooses from (N,) assignments (-1 neither, 0 background, k + 1 object k)."""

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
        positive = _choose((assigned > 0).nonzero().flatten(), int(number * positive_fraction))
        negative = _choose((assigned == 0).nonzero().flatten(), number - positive.numel())
        return positive, negative


def _choose(indices: Tensor, number: int) -> Tensor:
    if indices.numel() <= number:
        return indices
    chosen = torch.randperm(indices.numel(), device=indices.device)[:number]
    return indices[chosen].sort().values
