"""Signs of life within an epoch: lines for those who see no bar, numbers by step for trackers."""

import logging
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from swinkit.task.train_config import ScheduleConfig
from swinkit.task.training import TrainingTask
from swinkit.training.progress import ONLY_WITHOUT_BAR, name_epoch, spell_rate, spell_seconds
from swinkit.training.schedule import Budget
from swinkit.training.trackers import log_numbers

logger = logging.getLogger(__name__)

LINE_SECONDS = 30.0  # without a line at most, and
LINE_STEPS = 100  # as many steps at most, unless they are
LEAST_SECONDS = 10.0  # over before: nobody reads faster
TRACK_STEPS = 20  # between numbers for the trackers; each reads the loss, which waits for a GPU
JUDGED_STEPS, JUDGED_SECONDS = 10, 20.0  # after either the length of an epoch is told


class _Span:
    """Batches since a moment: their mean loss and speed."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.batches = self.images = 0
        self._loss: Tensor | None = None

    def add(self, loss: Tensor, images: int) -> None:
        self._loss = loss.double() if self._loss is None else self._loss + loss
        self.batches += 1
        self.images += images

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / max(self.seconds, 1e-9)

    def loss(self) -> float:
        return float("nan") if self._loss is None else float(self._loss) / self.batches


class StepLog(Callback):
    """Says how it goes in the middle of an epoch; in the first of several processes alone.

    Args:
        task: counts the images of a batch.
        budget: knows what is left; must come before this in the list of callbacks.
        schedule: says how long the run is.
    """

    def __init__(self, task: TrainingTask[Any], budget: Budget, schedule: ScheduleConfig) -> None:
        self.task = task
        self.budget = budget
        self.schedule = schedule
        self._line, self._track, self._epoch = _Span(), _Span(), _Span()
        self._tracked = 0
        self._judged = schedule.minutes is None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting: the line of the last epoch is one too."""
        self._line, self._track = _Span(), _Span()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and say so when it is time."""
        if not trainer.is_global_zero:
            return
        with torch.no_grad():
            loss, images = outputs["loss"].detach(), self.task.images_in(batch)
        for span in (self._line, self._track, self._epoch):
            span.add(loss, images * trainer.world_size)
        if batch_idx == 0:
            # The first batch waits for whatever is made once; it tells nothing of the others.
            self._epoch = _Span()
        if trainer.global_step - self._tracked >= TRACK_STEPS:
            self._log_numbers(trainer)
        if not self._judged:
            self._judge_epoch(trainer)
        line = self._line
        if line.seconds >= LINE_SECONDS or (
            line.batches >= LINE_STEPS and line.seconds >= LEAST_SECONDS
        ):
            self._say(trainer, batch_idx + 1)

    def _log_numbers(self, trainer: Trainer) -> None:
        span, step = self._track, trainer.global_step
        numbers = {
            "step/loss": span.loss(),
            "step/lr": _learning_rate(trainer),
            "step/images_per_second": span.rate,
        }
        log_numbers(trainer.loggers, numbers, step)
        self._track, self._tracked = _Span(), step

    def _say(self, trainer: Trainer, batches_done: int) -> None:
        line, batches = self._line, int(trainer.num_training_batches)
        epochs = trainer.current_epoch + batches_done / batches
        done = self.budget.done(epochs, trainer.global_step)
        logger.info(
            "%s  batch %d/%d  loss %.4f  lr %.3g  %s images/s  left %s",
            name_epoch(trainer.current_epoch + 1, trainer),
            batches_done,
            batches,
            line.loss(),
            _learning_rate(trainer),
            spell_rate(line.rate),
            spell_seconds(self.budget.seconds_left(done)),
            extra={ONLY_WITHOUT_BAR: True},
        )
        self._line = _Span()

    def _judge_epoch(self, trainer: Trainer) -> None:
        """Warn, as soon as it is clear, where the time ends before the first epoch does."""
        span = self._epoch
        if not span.batches or (span.batches < JUDGED_STEPS and span.seconds < JUDGED_SECONDS):
            return
        self._judged = True
        assert self.schedule.minutes is not None
        epoch = span.seconds / span.batches * int(trainer.num_training_batches)
        budget = 60 * self.schedule.minutes
        if epoch > budget:
            logger.warning(
                "an epoch takes about %s, longer than the %s of schedule.minutes: the run ends "
                "after %.0f%% of it, with its only validation; give more --minutes, a smaller "
                "--image-size or network (--name), or fewer --schedule.passes",
                spell_seconds(epoch),
                spell_seconds(budget),
                100 * budget / epoch,
            )


def _learning_rate(trainer: Trainer) -> float:
    """The highest of the parameter groups."""
    return max(group["lr"] for group in trainer.optimizers[0].param_groups)
