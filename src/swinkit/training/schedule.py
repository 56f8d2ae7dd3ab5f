"""The learning rate at each optimiser step: linear warm-up, then half a cosine."""

import math
from dataclasses import dataclass

from swinkit.training.config import ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Factor on the highest learning rate, by optimiser step (paper, appendix A2.1).

    The warm-up rises linearly from `start_factor` at step 0 to 1 at `warmup_steps`; the cosine
    falls from there to `end_factor` at `total_steps`.
    """

    total_steps: int
    warmup_steps: int
    start_factor: float
    end_factor: float

    @classmethod
    def from_config(cls, config: ScheduleConfig, steps_per_epoch: int) -> "Schedule":
        """For a number of optimiser steps in each epoch."""
        total = config.epochs * steps_per_epoch
        warmup = min(round(config.warmup_epochs * steps_per_epoch), max(0, total - 1))
        return cls(
            total_steps=total,
            warmup_steps=warmup,
            start_factor=config.start_factor,
            end_factor=config.end_factor,
        )

    def __call__(self, step: int) -> float:
        """Factor for optimiser step `step`, counted from 0; stays at the end after the last."""
        if step < self.warmup_steps:
            return self.start_factor + (1 - self.start_factor) * step / self.warmup_steps
        length = max(1, self.total_steps - self.warmup_steps)
        passed = min(1.0, (step - self.warmup_steps) / length)
        cosine = (1 + math.cos(math.pi * passed)) / 2
        return self.end_factor + (1 - self.end_factor) * cosine
