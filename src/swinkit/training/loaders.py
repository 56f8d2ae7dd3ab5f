"""The batches of a run, for one process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from swinkit.data.loading import EpochDataset, build_loader
from swinkit.task.train_config import TrainConfig
from swinkit.training.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Training and validation batches, and the data set that must be told the epoch."""

    train: DataLoader
    val: DataLoader
    train_set: EpochDataset

    def steps_per_epoch(self, accumulate: int) -> int:
        """Optimizer steps; a last incomplete accumulation is a step too."""
        return -(-len(self.train) // accumulate)


def build_loaders(
    config: TrainConfig,
    train_set: EpochDataset,
    val_set: EpochDataset,
    batch_size: int,
    processes: Processes,
    *,
    pin_memory: bool,
    collate: Callable[[list[Any]], Any] | None,
) -> Loaders:
    """Training and validation batches."""

    def loader(samples: EpochDataset, train: bool) -> DataLoader:
        return build_loader(
            samples,
            batch_size=batch_size,
            shuffle=train,
            drop_last=train,
            workers=config.data.workers,
            seed=config.runtime.seed,
            rank=processes.rank,
            world_size=processes.size,
            pin_memory=pin_memory,
            collate=collate,
            passes=config.schedule.passes if train else 1,
        )

    return Loaders(train=loader(train_set, True), val=loader(val_set, False), train_set=train_set)
