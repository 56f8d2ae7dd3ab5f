"""Randomness that depends on named numbers only, not on what ran before."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def derive_seed(*numbers: int) -> int:
    """One 63-bit seed from several non-negative integers, such as (seed, epoch, index)."""
    low, high = np.random.SeedSequence(numbers).generate_state(2, np.uint32)
    return (int(high) << 32 | int(low)) & (2**63 - 1)


@contextlib.contextmanager
def fixed_random(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and PyTorch's CPU generator inside, and restore them afterwards.

    GPU generators are left alone: whatever dropout draws from them must not repeat.
    """
    kept_torch = torch.get_rng_state()
    kept_python = random.getstate()
    kept_numpy = np.random.get_state()  # noqa: NPY002  (transforms of users may draw from it)
    try:
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        yield
    finally:
        torch.set_rng_state(kept_torch)
        random.setstate(kept_python)
        np.random.set_state(kept_numpy)  # noqa: NPY002
