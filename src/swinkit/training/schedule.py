"""The learning rate at each optimizer step: linear warm-up, then a decay."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from swinkit.task.schedule_config import ScheduleConfig


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
        """For a number of optimizer steps in each epoch; `clock` where the run has minutes."""
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
