"""The learning rate at each optimizer step, and the end of a run by steps or by the clock."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from swinkit.task.train_config import ScheduleConfig
from swinkit.training.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Factor on the highest learning rate, by optimizer step.

    The warm-up rises linearly from `start_factor` at step 0 to 1 at `warmup_steps`. The decay, with
    p the part of the run that is done:

        cosine      end + (1 - end) (1 + cos(pi p)) / 2, p counted from the end of the warm-up
                    (Swin paper, appendix A2.1)
        poly        end + (1 - end) (1 - p) ** power, times the warm-up
        multistep   drop ** (milestones passed), times the warm-up

    Attributes:
        total_steps: of the run; ignored with a clock.
        clock: part of the run's time that has passed; p then follows it from the first step on.
    """

    total_steps: int
    warmup_steps: int
    start_factor: float
    end_factor: float
    kind: Literal["cosine", "poly", "multistep"] = "cosine"
    power: float = 1.0
    milestones: tuple[float, ...] = ()
    drop: float = 0.1
    clock: Callable[[], float] | None = None

    @classmethod
    def from_config(
        cls,
        config: ScheduleConfig,
        steps_per_epoch: int,
        clock: Callable[[], float] | None = None,
    ) -> "Schedule":
        """For a number of optimizer steps in each epoch; `clock` is for runs by minutes."""
        clock = None if config.minutes is None else clock
        total = config.steps or config.epochs * steps_per_epoch
        warmup = config.warmup_steps
        if warmup is None:
            warmup = round(config.warmup_epochs * steps_per_epoch)
        return cls(
            total_steps=total,
            warmup_steps=warmup if clock else min(warmup, max(0, total - 1)),
            start_factor=config.start_factor,
            end_factor=config.end_factor,
            kind=config.kind,
            power=config.power,
            milestones=config.milestones,
            drop=config.drop,
            clock=clock,
        )

    def __call__(self, step: int) -> float:
        """Factor for optimizer step `step`, counted from 0; stays at the end after the last."""
        rise = 1.0
        if step < self.warmup_steps:
            rise = self.start_factor + (1 - self.start_factor) * step / self.warmup_steps
        return rise * self._decay(min(1.0, self._done(step)))

    def _done(self, step: int) -> float:
        if self.clock is not None:
            return self.clock()
        if self.kind != "cosine":
            return step / max(1, self.total_steps)
        length = max(1, self.total_steps - self.warmup_steps)
        return max(0, step - self.warmup_steps) / length

    def _decay(self, done: float) -> float:
        if self.kind == "multistep":
            return self.drop ** sum(done >= part for part in self.milestones)
        if self.kind == "poly":
            falling = (1 - done) ** self.power
        else:
            falling = (1 + math.cos(math.pi * done)) / 2
        return self.end_factor + (1 - self.end_factor) * falling


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
        self._passed = 0.0

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

    def most_epochs(self, steps_per_epoch: int) -> int:
        """For Lightning; -1 is without end."""
        if self.config.minutes is not None:
            return -1
        if self.config.steps is not None:
            return -(-self.config.steps // steps_per_epoch)
        return self.config.epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._read_clock()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
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
