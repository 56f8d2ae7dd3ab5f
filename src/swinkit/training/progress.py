"""Log of a run, progress bar and per-epoch summary."""

import contextlib
import logging
import shlex
import warnings
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn
from torch import nn

from swinkit.console import progress_bar
from swinkit.errors import TrainingError
from swinkit.parsing import reason_of
from swinkit.task.training import TrainingTask
from swinkit.training.processes import Processes, answer_sigterm
from swinkit.training.recorder import Recorder
from swinkit.training.run_folder import RunFolder, read_results
from swinkit.training.schedule import Budget

logger = logging.getLogger(__name__)

NOISY = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities")
# Attribute of what is logged for those who see no bar: log.txt, and output that is no terminal.
ONLY_WITHOUT_BAR = "only_without_bar"


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the remarks of Lightning and of what it uses off the terminal; errors still show."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [noisy.level for noisy in loggers]
    for noisy in loggers:
        noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in ("lightning", "torch", "torchmetrics", "tensorboard", "google"):
                warnings.filterwarnings("ignore", module=rf"{module}(\..*)?$")
            yield
    finally:
        for noisy, level in zip(loggers, levels, strict=True):
            noisy.setLevel(level)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if self.console.is_terminal and getattr(record, ONLY_WITHOUT_BAR, False):
            return
        self.console.print(self.format(record), highlight=False, markup=False, soft_wrap=True)


class RunLog(MemoryHandler):
    """Keeps what is logged until there is a run folder for it."""

    def __init__(self) -> None:
        super().__init__(10_000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)

    def keep_in(self, folder: RunFolder) -> None:
        """Write what was logged so far, and at once all that follows, to the folder's log.txt."""
        self.setTarget(folder.log_handler())
        self.capacity = 0
        self.flush()

    def close(self) -> None:
        """Close log.txt too."""
        if self.target is not None:
            self.target.close()
        super().close()


@contextlib.contextmanager
def run_log(console: Console) -> Iterator[RunLog]:
    """Send swinkit's log to the terminal, and to the run folder once it is known."""
    root = logging.getLogger("swinkit")
    level, log = root.level, RunLog()
    handlers = [_ConsoleHandler(console), log]
    root.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield log
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def announce(
    folder: Path, model: nn.Module, task: TrainingTask[Any], images_per_step: int, where: str
) -> None:
    """Say what is about to be trained on what, and which images were left out."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(item.numel() for item in model.parameters() if item.requires_grad)
    frozen = "" if learning == parameters else f", {learning / 1e6:.2f} M of them learning"
    splits = task.splits
    counts = {name: len(samples) for name, samples in splits.by_name().items()}
    logger.info(
        "%s: %.2f M parameters%s, %s pixels, %s%s images, %d a step, %s",
        folder,
        parameters / 1e6,
        frozen,
        task.describe_size(model),
        f"{len(splits.class_names)} classes, " if splits.class_names else "",
        " + ".join(f"{count} {name}" for name, count in counts.items()),
        images_per_step,
        where,
    )
    for note in splits.notes:
        logger.info("%s", note)
    for line in task.problems():
        logger.warning("%s", line)


@contextlib.contextmanager
def ends_in_words(folder: RunFolder, console: Console, processes: Processes) -> Iterator[None]:
    """Say how to go on after an interrupt; what the system refuses is one line."""
    again = f"{processes.command} train --resume {shlex.quote(str(folder.path))}"
    try:
        yield
    except KeyboardInterrupt:
        if folder.resume.is_file():
            epochs = len(read_results(folder.results)) if folder.results.is_file() else 0
            console.print(
                f"stopped after epoch {epochs}; go on with {again}",
                highlight=False,
                soft_wrap=True,
            )
        raise
    except BrokenPipeError:
        raise
    except OSError as fault:  # a full disk under TensorBoard's files, a folder that is gone
        folder.check_there()
        raise TrainingError(
            f"{folder.path}: {reason_of(fault)}; mend that and go on with {again}"
        ) from fault


def spell_seconds(seconds: float) -> str:
    """`45s`, `3m05s`, `2h07m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def spell_rate(per_second: float) -> str:
    """`85`, `7.4`."""
    return f"{per_second:.{0 if per_second >= 10 else 1}f}"


def name_epoch(number: int, trainer: Trainer) -> str:
    """`epoch 3/60`; `epoch 3` where nobody knows how many there will be."""
    most = trainer.max_epochs or 0
    return f"epoch {number}/{most}" if most > 0 else f"epoch {number}"


class RunProgress(Callback):
    """A bar over the whole run on a terminal, and a line per epoch everywhere.

    Args:
        recorder: gives the rows; must come before this in the list of callbacks.
        budget: knows how much of the run is done; must come before this too.
        console: to print to.
    """

    def __init__(self, recorder: Recorder, budget: Budget, console: Console) -> None:
        self.recorder = recorder
        self.budget = budget
        self.console = console
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        # Lightning's own answer to it would wait for the end of a batch and of other processes.
        answer_sigterm()
        self.bar = progress_bar(
            self.console,
            "{task.description}",
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
        )
        self.task = self.bar.add_task("training", total=1.0, loss="", left="?")
        done = self.budget.done(len(self.recorder.rows), trainer.global_step)
        self.bar.update(self.task, completed=done)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if self.bar is None or self.bar.disable:
            return  # reading the loss would wait for a GPU
        batches = int(trainer.num_training_batches)
        epochs = trainer.current_epoch + (batch_idx + 1) / batches
        done = self.budget.done(epochs, trainer.global_step)
        if batch_idx % max(1, batches // 50) == 0 or batch_idx + 1 == batches:
            self.bar.update(
                self.task,
                completed=done,
                description=name_epoch(trainer.current_epoch + 1, trainer),
                loss=f"loss {float(outputs['loss'].detach()):.3f}",
                left=spell_seconds(self.budget.seconds_left(done)),
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch."""
        if not trainer.is_global_zero:
            return
        row = self.recorder.rows[-1]
        done = self.budget.done(row["epoch"], trainer.global_step)
        logger.info(
            "%s  loss %.4f  %s  %s images/s  left %s%s",
            name_epoch(round(row["epoch"]), trainer),
            row["train_loss"],
            self.recorder.task.headline(row),
            spell_rate(row["images_per_second"]),
            spell_seconds(self.budget.seconds_left(done)),
            "  best" if self.recorder.best_epoch == row["epoch"] else "",
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
