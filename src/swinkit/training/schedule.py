"""The learning rate at each optimizer step, and the end of a run by steps or by the clock."""

import math
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from swinkit.task.train_config import ScheduleConfig
from swinkit.training.processes import Processes

WARMUP_PART = (0.05, 0.15)  # least and most of a run by minutes that the warm-up may take


class Schedule:
    """Factor on the highest learning rate, by optimizer step.

    The warm-up rises linearly from `start_factor` at step 0 to 1 at `warmup_steps`. The decay, with
    p the part of the run that is done:

        cosine      end + (1 - end) (1 + cos(pi p)) / 2, p counted from the end of the warm-up
                    (Swin paper, appendix A2.1)
        poly        end + (1 - end) (1 - p) ** power, times the warm-up
        multistep   drop ** (milestones passed), times the warm-up

    In a run by minutes p follows the clock from the first step on, and the warm-up ends after its
    steps or, on a slow machine, when it has taken its part of the time: as large a part as it has
    of the epochs that the settings name, within `WARMUP_PART`.

    Args:
        config: of the run.
        steps_per_epoch: optimizer steps.
        clock: part of the run's time that has passed, for a run by minutes.
    """

    def __init__(
        self,
        config: ScheduleConfig,
        steps_per_epoch: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.config = config
        self.clock = None if config.minutes is None else clock
        self.total_steps = config.steps or config.epochs * steps_per_epoch
        warmup = config.warmup_steps
        if warmup is None:
            warmup = round(config.warmup_epochs * steps_per_epoch)
        self.warmup_steps = warmup if self.clock else min(warmup, max(0, self.total_steps - 1))
        least, most = WARMUP_PART
        named = warmup / max(1, config.epochs * steps_per_epoch)
        self.warmup_part = min(most, max(least, named))

    def __call__(self, step: int) -> float:
        """Factor for optimizer step `step`, counted from 0; stays at the end after the last."""
        start = self.config.start_factor
        rise = start + (1 - start) * self._warmed_up(step)
        return rise * self._decay(min(1.0, self._done(step)))

    def _warmed_up(self, step: int) -> float:
        """Part of the warm-up that is done, 0 to 1."""
        if step >= self.warmup_steps:
            return 1.0
        by_clock = 0.0 if self.clock is None else self.clock() / self.warmup_part
        return min(1.0, max(step / self.warmup_steps, by_clock))

    def _done(self, step: int) -> float:
        if self.clock is not None:
            return self.clock()
        if self.config.kind != "cosine":
            return step / max(1, self.total_steps)
        length = max(1, self.total_steps - self.warmup_steps)
        return max(0, step - self.warmup_steps) / length

    def _decay(self, done: float) -> float:
        config = self.config
        if config.kind == "multistep":
            return config.drop ** sum(done >= part for part in config.milestones)
        if config.kind == "poly":
            falling = (1 - done) ** config.power
        else:
            falling = (1 + math.cos(math.pi * done)) / 2
        return config.end_factor + (1 - config.end_factor) * falling


class Budget(Callback):
    """Stops a run after its steps or its minutes; epochs are Lightning's own affair.

    Not Lightning's `max_steps`, which ends within an epoch without its validation, nor its `Timer`,
    whose clock is each process's own: the learning rate follows this clock and must be the same in
    all of them, so the first one's holds.

    Args:
        config: says the length.
        processes: of the run.
        spent_seconds: time that a resumed run has already used.
    """

    def __init__(
        self, config: ScheduleConfig, processes: Processes, *, spent_seconds: float = 0.0
    ) -> None:
        self.config = config
        self.processes = processes
        self.spent_seconds = spent_seconds
        self._started = time.perf_counter()
        self._passed = self._done_before = 0.0

    def clock(self) -> float:
        """Part of the minutes that has passed, as of the last step; 1 is the end."""
        return self._passed

    def done(self, epochs: float, steps: int) -> float:
        """Part of the run that is done, 0 to 1."""
        if self.config.minutes is not None:
            return min(1.0, self._passed)
        if self.config.steps is not None:
            return min(1.0, steps / self.config.steps)
        return min(1.0, epochs / self.config.epochs)

    def seconds_left(self, done: float) -> float:
        """As the run went so far, when a part `done` of it is done."""
        passed = done - self._done_before
        return (time.perf_counter() - self._started) / max(passed, 1e-9) * (1 - done)

    def most_epochs(
        self, steps_per_epoch: int, *, epochs_done: int = 0, steps_done: int = 0
    ) -> int:
        """For Lightning; -1 is without end. A resumed run may have ended within an epoch."""
        if self.config.minutes is not None:
            return -1
        if self.config.steps is not None:
            return epochs_done - (steps_done - self.config.steps) // steps_per_epoch
        return self.config.epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._read_clock()
        self._done_before = self.done(trainer.current_epoch, trainer.global_step)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Read the clock, just before the schedule does: the last step completes the decay."""
        self._read_clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop when it is time."""
        out_of_time = self.config.minutes is not None and self._passed >= 1
        if out_of_time or trainer.global_step >= (self.config.steps or math.inf):
            trainer.should_stop = True

    def _read_clock(self) -> None:
        if self.config.minutes is not None:
            passed = self.spent_seconds + time.perf_counter() - self._started
            self._passed = self.processes.shared(passed / (60 * self.config.minutes))
