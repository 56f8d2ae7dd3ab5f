"""Writes the run folder epoch by epoch: weights, their average, and the state to resume from."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from swinkit.checkpoints.save import save
from swinkit.data.loading import EpochDataset
from swinkit.errors import TrainingError
from swinkit.pictures.drawing import save_figure
from swinkit.pictures.figures import curves
from swinkit.task.train_config import ScheduleConfig
from swinkit.task.training import TrainingTask
from swinkit.training.module import TrainingModule
from swinkit.training.run_folder import Row, RunFolder
from swinkit.training.trackers import log_numbers, log_pictures

logger = logging.getLogger(__name__)

CURVES_EVERY = 30.0  # seconds between drawings, so that short epochs do not wait for pictures


class WeightAverage(Callback):
    """Keeps `average <- d * average + (1 - d) * weights` after each step, and validates it.

    d = min(decay, (1 + n) / (10 + n)) at update n, so that a short run is not held back by its
    random start.

    Not Lightning's WeightAveraging: that one copies the module with all it holds, samples of the
    data included (17 s per million), starts after the first step, and exchanges weights through
    `.data`, which caches that watch a parameter's version do not see.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights, or go on from what a resumed run had."""
        self.average = {
            name: self.average.get(name, weight.detach()).to(weight.device, copy=True)
            for name, weight in _averaged_tensors(pl_module).items()
        }

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow the weights, once per optimizer step."""
        if trainer.global_step <= self.updates:
            return
        self.updates = trainer.global_step
        assert isinstance(pl_module, TrainingModule)
        if pl_module.step_skipped:
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = _averaged_tensors(pl_module)
        current = [weights[name].detach() for name in self.average]
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), current, 1 - decay)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train on with the weights themselves."""
        self._swap(pl_module)

    @contextlib.contextmanager
    def applied(self, module: LightningModule) -> Iterator[None]:
        """The average in the network's place."""
        self._swap(module)
        try:
            yield
        finally:
            self._swap(module)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.updates = state_dict["updates"]
        self.average = dict(state_dict["average"])

    @torch.no_grad()
    def _swap(self, module: LightningModule) -> None:
        weights = _averaged_tensors(module)
        for name, average in self.average.items():
            kept = weights[name].clone()
            weights[name].copy_(average)
            average.copy_(kept)


def _averaged_tensors(module: LightningModule) -> dict[str, Tensor]:
    """What an average of the weights follows: parameters that learn, and running statistics."""
    model = module.get_submodule("model")
    stored = model.state_dict(keep_vars=True)
    learning = {n: value for n, value in model.named_parameters() if value.requires_grad}
    running = {n: value for n, value in model.named_buffers() if n in stored}
    return learning | {n: value for n, value in running.items() if value.is_floating_point()}


class Recorder(Callback):
    """After each epoch: results.csv, TensorBoard, weights, curves, and last of all the state.

    The state comes after the weights, so a kill in between goes back to the epoch before and
    repeats this one to the same result; a state from before the first epoch lets the first one
    be repeated too. Rows live in the state; results.csv is written from them and so never holds an
    epoch twice.

    Args:
        folder: of the run.
        task: says which epoch is better and draws the first batch.
        train_set: gets the epoch before a resumed run's first batch is fetched.
        average: weights to keep instead of the current ones, or None.
        early_stop: epochs without a better validation score after which to stop, or None.
        preview: draw the first training batch.
        images_per_step: over all processes; a resumed run must keep it.
        run: what else a resumed run is compared with, as plain values.
    """

    def __init__(
        self,
        folder: RunFolder,
        task: TrainingTask[Any],
        train_set: EpochDataset,
        *,
        average: WeightAverage | None,
        early_stop: int | None,
        preview: bool,
        images_per_step: int,
        run: dict[str, Any],
    ) -> None:
        self.folder = folder
        self.run = run
        self.task = task
        self.train_set = train_set
        self.average = average
        self.early_stop = early_stop
        self.preview = preview
        self.images_per_step = images_per_step
        self.rows: list[Row] = []
        self.best_epoch = 0
        self.finished = False
        self.steps = 0  # optimizer steps up to the last epoch
        self._started = self._trained_from = self._trained = self._drawn = 0.0
        self._images = 0

    @property
    def best(self) -> Row:
        """The row of the best epoch."""
        return self.rows[self.best_epoch - 1]

    @property
    def exhausted(self) -> bool:
        """Whether early stopping has come to its end."""
        return self.early_stop is not None and len(self.rows) - self.best_epoch >= self.early_stop

    def over(self, schedule: ScheduleConfig) -> bool:
        """Whether there is nothing left to train."""
        counts_epochs = schedule.minutes is None and schedule.steps is None
        done = counts_epochs and len(self.rows) >= schedule.epochs
        return done or self.exhausted or (self.finished and not counts_epochs)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "rows": self.rows,
            "best_epoch": self.best_epoch,
            "images_per_step": self.images_per_step,
            "finished": self.finished,
            "run": self.run,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`.

        Raises:
            TrainingError: another number of images per step than the run had.
        """
        if state_dict["images_per_step"] != self.images_per_step:
            raise TrainingError(
                f"{self.folder.path} took {state_dict['images_per_step']} images per step, now it "
                f"would be {self.images_per_step}; resume with as many processes as it had"
            )
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.best_epoch = int(state_dict["best_epoch"])
        self.finished = bool(state_dict["finished"])
        # Lightning fetches the first batch of a resumed run before it announces the epoch.
        self.train_set.set_epoch(len(self.rows))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the starting weights: a run killed in its first epoch needs them."""
        if not self.rows:
            trainer.save_checkpoint(self.folder.resume, weights_only=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._trained_from = time.perf_counter()
        self._images = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and draw the very first batch."""
        self._images += self.task.images_in(batch) * trainer.world_size
        self._trained = time.perf_counter()
        first = batch_idx == 0 and trainer.current_epoch == 0
        if first and self.preview and trainer.is_global_zero:
            assert isinstance(pl_module, TrainingModule)
            self.folder.check_there()
            figure = self.task.preview(pl_module.model, outputs["shown"])
            save_figure(figure, self.folder.preview)
            log_pictures(trainer.loggers, {"batch_preview": self.folder.preview}, 0)
            # Drawing is not training; the throughput must not pay for it.
            now = time.perf_counter()
            self._trained_from += now - self._trained
            self._trained = now

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch."""
        assert isinstance(pl_module, TrainingModule)
        self.folder.check_there()
        row = self._row(trainer, pl_module)
        pl_module.check_finite(row["train_loss"])
        self._check_weights(pl_module)
        self.rows.append(row)
        self.steps = trainer.global_step
        better = self.best_epoch == 0 or self._rank(row) > self._rank(self.best)
        if better:
            self.best_epoch = len(self.rows)
        if trainer.is_global_zero:
            self._write(trainer, pl_module, row, better)
        self.finished = trainer.should_stop or self.exhausted
        trainer.save_checkpoint(self.folder.resume, weights_only=False)
        if trainer.is_global_zero and time.perf_counter() - self._drawn > CURVES_EVERY:
            self.draw_curves()
        if self.exhausted:
            trainer.should_stop = True
            logger.info("no better epoch than %d since; stopping early", self.best_epoch)

    def _rank(self, row: Row) -> tuple[float, ...]:
        """The task's rank of an epoch; NaN, which compares with nothing, below all else."""
        return tuple(-math.inf if math.isnan(value) else value for value in self.task.rank(row))

    def _check_weights(self, module: TrainingModule) -> None:
        """Raises TrainingError where weights or their average are not finite: an earlier epoch's
        files then stay."""
        module.check_weights(module.model.state_dict())
        if self.average is not None:
            module.check_weights(self.average.average)

    def _row(self, trainer: Trainer, module: TrainingModule) -> Row:
        now = time.perf_counter()
        return {
            "epoch": len(self.rows) + 1,
            "lr": max(group["lr"] for group in trainer.optimizers[0].param_groups),
            **module.train_means(),
            **module.val_metrics,
            "seconds": round(now - self._started, 3),
            "images_per_second": round(
                self._images / max(self._trained - self._trained_from, 1e-9), 2
            ),
        }

    def _write(self, trainer: Trainer, module: TrainingModule, row: Row, better: bool) -> None:
        self.folder.write_results(self.rows)
        log_numbers(trainer.loggers, row, trainer.global_step)
        model = module.model
        measured = {
            name: value for name, value in row.items() if name.startswith(("val_", "epoch"))
        }
        model.info = replace(model.info, metrics=measured)
        picture = module.validation.picture() if self.preview else None
        if picture is not None:
            save_figure(picture, self.folder.validation)
            log_pictures(
                trainer.loggers, {"val_preview": self.folder.validation}, trainer.global_step
            )
        averaged = self.average.applied(module) if self.average else contextlib.nullcontext()
        with averaged, torch.no_grad():
            if better:
                save(model, self.folder.best)
            save(model, self.folder.last)

    def draw_curves(self) -> None:
        """Write curves.png."""
        self._drawn = time.perf_counter()
        save_figure(curves(self.rows, self.task.panel), self.folder.curves)
