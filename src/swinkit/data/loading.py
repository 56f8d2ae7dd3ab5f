"""The same samples in the same order in a run that was interrupted as in one that was not.

Shared by all tasks. B batch.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, get_worker_info

from swinkit.data.splits import HasPath
from swinkit.errors import DataError, ImageError, LoggedErrors


def derive_seed(*numbers: int) -> int:
    """One 63-bit seed from several non-negative integers, such as (seed, epoch, index)."""
    low, high = np.random.SeedSequence(numbers).generate_state(2, np.uint32)
    return (int(high) << 32 | int(low)) & (2**63 - 1)


@contextlib.contextmanager
def fixed_random(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and PyTorch's CPU generator inside, and restore them afterwards.

    GPU generators are left alone: whatever dropout draws from them must not repeat. A process that
    only reads images draws nothing in between, and is spared the restoring: it takes nearly as long
    as decoding a picture of 32 pixels.
    """
    with contextlib.nullcontext() if get_worker_info() else _restored():
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  (transforms of users may draw from it)
        yield


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    kept_torch = torch.get_rng_state()
    kept_python = random.getstate()
    kept_numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(kept_torch)
        random.setstate(kept_python)
        np.random.set_state(kept_numpy)  # noqa: NPY002


class EpochDataset(Dataset[Any]):
    """Reads samples; a task says in `read` what `dataset[i]` is.

    What chance decides for sample i depends on (seed, epoch, i) alone: not on the worker that
    reads it, on how many there are, or on what was read before. The epoch and the list of images
    found bad lie in shared memory, so `set_epoch` reaches workers that live on.

    Args:
        samples: what to read.
        seed: of the run.
        on_bad_image: for an image that fails now though the scan let it pass. "skip" gives the
            next good sample instead and logs it once; "refuse" raises ImageError.

    Attributes:
        passes: times that an epoch visits each sample; `build_loader` sets it.
    """

    def __init__(
        self,
        samples: Sequence[HasPath],
        *,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        if not samples:
            raise DataError("a data set needs at least one sample, got none; check the split")
        self.samples: list[Any] = list(samples)
        self.seed = seed
        self.on_bad_image = on_bad_image
        self.passes = 1
        self._unreadable = LoggedErrors("the next good image takes its place")
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._bad = torch.zeros(len(self.samples), dtype=torch.bool).share_memory_()

    def read(self, index: int) -> Any:
        """Sample `index`; what it draws at random is seeded by then. Raises ImageError."""
        return self.samples[index]

    def __len__(self) -> int:
        return len(self.samples) * self.passes

    @property
    def epoch(self) -> int:
        """The epoch that decides the augmentation."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, in living workers too; call it before iterating over the loader."""
        self._epoch.fill_(epoch)

    def bad_samples(self) -> list[Any]:
        """Samples found bad while reading, by every worker of this machine so far."""
        return [self.samples[index] for index in self._bad.nonzero().flatten().tolist()]

    def __getitem__(self, index: int) -> Any:
        # A later pass over the same sample augments it anew.
        earlier_passes = index - index % len(self.samples)
        for step in range(len(self.samples)):
            place = (index + step) % len(self.samples)
            if self._bad[place]:
                continue
            try:
                with fixed_random(derive_seed(self.seed, self.epoch, earlier_passes + place)):
                    return self.read(place)
            except ImageError as error:
                if self.on_bad_image == "refuse":
                    raise
                self._bad[place] = True
                self._unreadable.add(error)
        raise DataError(f"none of the {len(self.samples)} images can be read; check the data")


class EpochSampler(DistributedSampler):
    """The order of one epoch, from (seed, epoch) alone, and this process's part of it.

    Process r of W takes every W-th index from r on, so W processes with batches of B together see
    what one process sees in batches of W * B. Without `drop_last` the last indices repeat the
    first ones until all processes have equally many; the index in each item tells them.
    Its `set_epoch`, which Lightning calls, sets the data set's epoch as well.
    """

    def __init__(
        self,
        dataset: EpochDataset,
        *,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(
            dataset,
            num_replicas=world_size,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
        )
        self.samples = dataset

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides order and augmentation."""
        super().set_epoch(epoch)
        self.samples.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        self.epoch = self.samples.epoch
        return super().__iter__()


def build_loader(
    dataset: EpochDataset,
    *,
    batch_size: int,
    shuffle: bool,
    workers: int = 0,
    seed: int = 0,
    drop_last: bool = False,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
    collate: Callable[[list[Any]], Any] | None = None,
    passes: int = 1,
) -> DataLoader:
    """Batches of samples; images (B, C, H, W) float32, labels (B,), indices (B,) by default.

    Args:
        dataset: where they come from; `dataset.set_epoch` (or the sampler's) before each epoch.
        batch_size: B per process.
        shuffle: a new order each epoch.
        workers: reading processes; they live on between epochs.
        seed: of the order.
        drop_last: leave an incomplete last batch out, unless it is the only one.
        rank: this process, of `world_size`.
        pin_memory: for copies to a GPU.
        collate: makes a batch of samples; by default tensors are stacked.
        passes: times that an epoch visits each sample.

    Raises:
        DataError: batch_size below 1.
    """
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be >= 1")
    dataset.passes = passes
    drop_last = drop_last and len(dataset) >= batch_size * world_size
    sampler = EpochSampler(
        dataset,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        rank=rank,
        world_size=world_size,
    )
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=drop_last,
        pin_memory=pin_memory,
        collate_fn=collate,
        persistent_workers=workers > 0,
        # Its own generator: starting an epoch must not advance the one that dropout draws from.
        generator=torch.Generator().manual_seed(seed),
    )
