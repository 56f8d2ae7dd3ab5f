"""What the commands that run a trained model share: the model, and the options of its task."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from swinkit.errors import CheckpointError, ConfigError
from swinkit.registry import all_tasks, get_task, option_owners
from swinkit.task.base import Task
from swinkit.task.options import check_range, options_from, refuse_options_of_others

if TYPE_CHECKING:
    from swinkit.checkpoints.report import LoadReport
    from swinkit.task.model import TaskModel

Device = Literal["auto", "cpu", "cuda"]
SMALLEST_SIDE, LARGEST_SIDE = 4, 16384  # pixels of --image-size

ImageSize = int | Literal["original"] | None
Command = TypeVar("Command")
Options = Callable[[Task[Any, Any]], type[Any]]


def with_task_options(command: type[Command], options: Options, doc: str) -> type[Command]:
    """A command's dataclass that has the options of every task as well.

    Args:
        command: the options that all tasks have, and `run`.
        options: which options of a task.
        doc: what the command does, for its help.
    """
    bases = tuple(options(task) for task in all_tasks())
    name = command.__name__
    joined = type(name, (*dict.fromkeys(bases), command), {"__doc__": doc})
    return dataclass(frozen=True, kw_only=True)(joined)


def task_options(command: Any, model: "TaskModel", options: Options, weights: str) -> Any:
    """The options of the model's task out of a command's.

    Raises:
        ConfigError: an option of another task was given.
    """
    task = get_task(model.task)
    kind = options(task)
    holder = f"{weights} holds a {task.model_kind}"
    refuse_options_of_others(command, kind, option_owners(options), holder)
    return options_from(kind, vars(command))


def check_common(command: Any) -> None:
    """What predict and evaluate have in common, before anything is loaded. Raises ConfigError."""
    if not command.weights.strip():
        raise ConfigError("weights is an empty name; name a weight file, a published name or a URL")
    check_range("batch-size", command.batch_size, 1)
    if command.image_size != "original":
        check_range("image-size", command.image_size, SMALLEST_SIDE, LARGEST_SIDE)


def load_model(weights: str, image_size: ImageSize, device: Device) -> "TaskModel":
    """A model of any task on its device, whatever the file holds.

    What the file does not prove is said on stderr.

    Args:
        image_size: side of a classifier's images, short side of the others'; "original" leaves
            these in their own size; None takes the model's.

    Raises:
        CheckpointError: unreadable, or a backbone alone.
        ConfigError: no GPU where one is asked for, or a classifier for images as they are.
    """
    import torch

    from swinkit.checkpoints.load import load
    from swinkit.task.model import TaskModel

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no GPU here; use --device cpu")
    side = None if image_size == "original" else image_size
    model = load(weights, image_size=side, report=_report_doubts)
    if not isinstance(model, TaskModel):
        raise CheckpointError(
            f"{weights} holds a backbone without a classifier or other head; name weights of a "
            "whole model"
        )
    if image_size is not None and image_size != getattr(model.preprocessing, "size_hw", None):
        try:
            model.set_image_size(image_size)
        except ConfigError as error:
            kind = get_task(model.task).model_kind
            raise ConfigError(f"{weights} holds a {kind}: {error}") from error
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return model.to("cuda" if gpu else "cpu").eval()


def _report_doubts(report: "LoadReport") -> None:
    if report.unexplained or report.changed:
        print(report, file=sys.stderr)
