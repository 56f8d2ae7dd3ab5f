"""How much of a run is done, and its end where steps or minutes set it."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from swinkit.task.schedule_config import ScheduleConfig
from swinkit.training.processes import Processes


class Budget(Callback):
    """Stops a run after its steps or its minutes; epochs are Lightning's own affair.

    The first process's clock holds for all of them, so they stop at the same step.

    Args:
        config: says the length.
        processes: of the run.
        spent_seconds: time that a resumed run has already used.
    """

    def __init__(
        self, config: ScheduleConfig, processes: Processes, *, spent_seconds: float = 0.0
    ) -> None:
        self.steps = config.steps
        self.epochs = config.epochs
        self.seconds = None if config.minutes is None else config.minutes * 60
        self.processes = processes
        self.spent_seconds = spent_seconds
        self.used_up = False
        self._started = time.perf_counter()
        self._passed = 0.0

    def clock(self) -> float:
        """Part of the minutes that has passed, as of the last step; 1 is the end."""
        return self._passed

    def done(self, epochs: float, steps: int) -> float:
        """Part of the run that is done, 0 to 1."""
        if self.seconds is not None:
            return min(1.0, self._passed)
        if self.steps is not None:
            return min(1.0, steps / self.steps)
        return min(1.0, epochs / self.epochs)

    def most_epochs(self, steps_per_epoch: int) -> int:
        """For Lightning; -1 is without end."""
        if self.seconds is not None:
            return -1
        if self.steps is not None:
            return -(-self.steps // steps_per_epoch)
        return self.epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._look()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Look at the clock, just before the schedule does: the last step completes the decay."""
        self._look()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop when it is time."""
        in_time = self.seconds is None or self._passed < 1
        self.used_up = not in_time or (self.steps is not None and trainer.global_step >= self.steps)
        if self.used_up:
            trainer.should_stop = True

    def _look(self) -> None:
        if self.seconds is not None:
            passed = self.spent_seconds + time.perf_counter() - self._started
            self._passed = self.processes.shared(passed / self.seconds)
