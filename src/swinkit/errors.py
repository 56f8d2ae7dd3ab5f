"""The errors a user can cause. Each message is one line: what is wrong, where, and what to do."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

logger = logging.getLogger(__name__)

MOST_CHARACTERS = 500
MOST_LOGGED = 20  # images that are named one by one; then they are only counted


class SwinkitError(Exception):
    """Base of every error that swinkit raises on purpose; the command line prints its one line.

    Text from files ends up in messages: line breaks become spaces, control characters (a terminal
    would obey them) are shown as escapes, and the middle of a long message is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Text as one line of at most 500 characters without control characters."""
    shown = printable(" ".join(text.split()))
    if len(shown) <= MOST_CHARACTERS:
        return shown
    # What is wrong stands first, what to do last.
    head, tail = MOST_CHARACTERS * 3 // 5, MOST_CHARACTERS * 2 // 5 - len(" … ")
    return f"{shown[:head]} … {shown[len(shown) - tail :]}"


def printable(text: str) -> str:
    """Text with escapes for what a terminal obeys or cannot show.

    Lone surrogates, which stand for the bytes of names that are not UTF-8, are among it.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


class ConfigError(SwinkitError):
    """A setting, or a combination of settings, that cannot work."""


class ImageError(SwinkitError):
    """An image that is missing, unreadable, or of a shape that the model cannot take."""


class DataError(SwinkitError):
    """A data set that is missing, empty, inconsistent, or too small for what was asked."""


class CheckpointError(SwinkitError):
    """A weight file that is missing, damaged, unsafe, of another family, or does not fit."""


class TrainingError(SwinkitError):
    """A training run that cannot start or cannot go on."""


# What only an extra brings, by the name that Python imports it under.
EXTRAS = {
    **dict.fromkeys(("lightning", "torchmetrics", "tensorboard"), "train"),
    **dict.fromkeys(("matplotlib", "scipy", "supervision"), "pictures"),
    **dict.fromkeys(("onnx", "onnxscript", "onnxruntime"), "onnx"),
    **dict.fromkeys(("openvino", "nncf"), "openvino"),
}


class MissingPackage(SwinkitError):
    """What was asked for needs an extra of swinkit that is not installed."""


@contextmanager
def extras_named() -> Iterator[None]:
    """Inside, an import of what an extra brings fails with MissingPackage, which names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingPackage(
            f"this needs {package}, which is not installed: pip install "
            f"'swinkit[{EXTRAS[package]}]'"
        ) from error


def require(module: str) -> Any:
    """An extra's module.

    Raises:
        MissingPackage: it is not installed; says how to.
    """
    with extras_named():
        return import_module(module)


class Terminated(KeyboardInterrupt):
    """The system asks the process to end (SIGTERM): it does so as after Ctrl-C."""


class LoggedErrors:
    """Names the first images that cannot be read in the log, and what is `done` with them."""

    def __init__(self, done: str = "left out") -> None:
        self.count = 0
        self._done = done

    def add(self, error: SwinkitError) -> None:
        """One more."""
        self.count += 1
        if self.count <= MOST_LOGGED:
            logger.warning("%s (%s)", error, self._done)
        elif self.count == MOST_LOGGED + 1:
            logger.warning("more than %d images are unreadable; no more are named", MOST_LOGGED)
