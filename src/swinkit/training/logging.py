"""What a run says: its own lines to the terminal and to log.txt, nothing of its libraries."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from torch import nn

from swinkit.task.training import Task
from swinkit.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

NOISY = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities")
ROOT = "swinkit"


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
        self.console.print(self.format(record), highlight=False, markup=False, soft_wrap=True)


class RunLog:
    """Sends swinkit's log to the terminal at once, and to the run folder once there is one."""

    def __init__(self, console: Console) -> None:
        self.handlers: list[logging.Handler] = [_ConsoleHandler(console)]
        self.waiting = MemoryHandler(10_000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
        self.handlers.append(self.waiting)
        self._level = logging.NOTSET

    def __enter__(self) -> "RunLog":
        root = logging.getLogger(ROOT)
        self._level = root.level
        root.setLevel(logging.INFO)
        for handler in self.handlers:
            root.addHandler(handler)
        return self

    def keep_in(self, folder: RunFolder) -> None:
        """Write what was said so far, and all that follows, to the folder's log.txt."""
        root = logging.getLogger(ROOT)
        handler = folder.log_handler()
        self.waiting.setTarget(handler)
        self.waiting.flush()
        root.removeHandler(self.waiting)
        self.handlers.append(handler)
        root.addHandler(handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        root = logging.getLogger(ROOT)
        root.setLevel(self._level)
        for handler in self.handlers:
            root.removeHandler(handler)
            handler.close()


def announce(
    folder: Path, model: nn.Module, task: Task[Any], images_per_step: int, where: str
) -> None:
    """Say what is about to be trained on what, and which images were left out."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(item.numel() for item in model.parameters() if item.requires_grad)
    frozen = "" if learning == parameters else f", {learning / 1e6:.2f} M of them learning"
    splits = task.splits
    counts = {name: len(samples) for name, samples in splits.by_name().items()}
    logger.info(
        "%s: %.2f M parameters%s, %s pixels, %d classes, %s images, %d a step, %s",
        folder,
        parameters / 1e6,
        frozen,
        task.describe_size(model),
        len(splits.class_names),
        " + ".join(f"{count} {name}" for name, count in counts.items()),
        images_per_step,
        where.removesuffix(" x 1"),
    )
    for note in splits.notes:
        logger.info("%s", note)
    for line in task.problems():
        logger.warning("%s", line)
