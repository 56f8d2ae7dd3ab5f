"""What a person sees of a run: a bar with the time left, and one line per epoch."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from swinkit.training.budget import Budget
from swinkit.training.recorder import Recorder


def spell_seconds(seconds: float) -> str:
    """`45s`, `3m05s`, `2h07m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class RunProgress(Callback):
    """A bar over the whole run on a terminal; elsewhere only the lines.

    Args:
        recorder: gives the rows; must come before this in the list of callbacks.
        budget: knows how much of the run is done.
        console: to print to.
    """

    def __init__(self, recorder: Recorder, budget: Budget, console: Console) -> None:
        self.recorder = recorder
        self.budget = budget
        self.console = console
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self._start = 0.0
        self._done_before = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._start = time.perf_counter()
        self._done_before = self._done(len(self.recorder.rows), trainer)
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(
            "training",
            total=1.0,
            completed=0,
            loss="",
            left="?",
        )
        self.bar.update(self.task, completed=self._done_before)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if self.bar is None:
            return
        batches = int(trainer.num_training_batches)
        done = self._done(trainer.current_epoch + (batch_idx + 1) / batches, trainer)
        if batch_idx % max(1, batches // 50) == 0 or batch_idx + 1 == batches:
            self.bar.update(
                self.task,
                completed=done,
                description=self._epoch(trainer.current_epoch + 1, trainer),
                loss=f"loss {float(outputs['loss'].detach()):.3f}",
                left=self._left(done),
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch."""
        row = self.recorder.rows[-1]
        mark = "  best" if self.recorder.best_epoch == row["epoch"] else ""
        self.console.print(
            f"{self._epoch(round(row['epoch']), trainer)}  loss {row['train_loss']:.4f}  "
            f"{self.recorder.task.headline(row)}  "
            f"{row['images_per_second']:.{0 if row['images_per_second'] >= 10 else 1}f} images/s  "
            f"left {self._left(self._done(row['epoch'], trainer))}{mark}",
            highlight=False,
            soft_wrap=True,
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away, and say how to go on after an interrupt."""
        self._stop()
        if isinstance(exception, KeyboardInterrupt) and self.recorder.rows:
            self.console.print(
                f"stopped after epoch {len(self.recorder.rows)}; go on with "
                f"swinkit train --runtime.resume {self.recorder.folder.path}",
                highlight=False,
                soft_wrap=True,
            )

    def _done(self, epochs: float, trainer: Trainer) -> float:
        return self.budget.done(epochs, trainer.global_step)

    def _epoch(self, number: int, trainer: Trainer) -> str:
        most = trainer.max_epochs or 0
        return f"epoch {number}/{most}" if most > 0 else f"epoch {number}"

    def _left(self, done: float) -> str:
        passed = done - self._done_before
        seconds = (time.perf_counter() - self._start) / max(passed, 1e-9)
        return spell_seconds(seconds * (1 - done))

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
