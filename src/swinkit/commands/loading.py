"""What the commands that run a trained model share: the model, and the options of its task."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from tyro.conf import Positional, arg

from swinkit.engines import EngineName, RunPrecision
from swinkit.errors import ConfigError
from swinkit.registry import all_tasks, get_task, option_owners
from swinkit.task.base import Task
from swinkit.task.options import check_range, options_from, refuse_options_of_others

if TYPE_CHECKING:
    from swinkit.checkpoints.report import LoadReport
    from swinkit.task.model import TaskModel

SMALLEST_SIDE, LARGEST_SIDE = 4, 16384  # pixels of --image-size

Size = int | Literal["original"] | None  # pixels a side
# What the options of several commands are, with their help.
Sources = Positional[Annotated[tuple[str, ...], arg(metavar="IMAGE [IMAGE ...]")]]
Weights = Annotated[
    str,
    arg(help="A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."),
]
Command = TypeVar("Command")
Options = Callable[[Task[Any, Any]], type[Any]]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What every command that runs a model on images is told."""

    weights: Weights
    image_size: Size = None
    """Side of the input in pixels, of detectors and segmenters the short one; None takes the
    model's own. "original" leaves their images as they are, for tiles and windows."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""

    def check(self) -> None:
        """Before anything is loaded. Raises ConfigError."""
        if not self.weights.strip():
            raise ConfigError(
                "weights is an empty name; name a weight file, a published name or a URL"
            )
        if self.image_size != "original":
            check_range("image-size", self.image_size, SMALLEST_SIDE, LARGEST_SIDE)

    def load(self, engine: EngineName = "eager", precision: RunPrecision = "fp32") -> "TaskModel":
        """As `swinkit.inference.load_model`; what the file does not prove is said on stderr."""
        from swinkit import inference
        from swinkit.exporting.running import say_on_stderr

        return inference.load_model(
            self.weights,
            image_size=self.image_size,
            device=self.device,
            engine=engine,
            precision=precision,
            say=say_on_stderr,
            report=_report_doubts,
        )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(ModelOptions):
    """What those that look at many images are told too."""

    batch_size: int | None = None
    """Images (tiles, windows) per forward pass; None: 1, of a classifier 16 (evaluate: 32)."""
    engine: EngineName = "auto"
    """What images go through on a CPU. auto: PyTorch, and from the point where it pays the fastest
    of openvino and onnxruntime that is installed; compiled: torch.compile."""
    precision: RunPrecision = "fp32"
    """In what is multiplied. bf16 is faster where the processor or GPU has it, and less exact."""

    def check(self) -> None:
        """Before anything is loaded. Raises ConfigError."""
        super().check()
        check_range("batch-size", self.batch_size, 1)


def with_task_options(command: type[Command], options: Options, doc: str) -> type[Command]:
    """A command's dataclass that has the options of every task as well.

    Args:
        command: the options that all tasks have, and `run`.
        options: which options of a task.
        doc: what the command does, for its help.
    """
    kinds = [options(task) for task in all_tasks()]
    # A task without options of its own has those that the others' derive from.
    bases = [kind for kind in kinds if not any(kind in other.__mro__[1:] for other in kinds)]
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


def check_sources(sources: Sequence[str], purpose: str) -> None:
    """Whether there is any. Raises ConfigError."""
    if not sources:
        raise ConfigError(f"no images to {purpose}; name files, folders or patterns")


def _report_doubts(report: "LoadReport") -> None:
    if report.unexplained or report.changed:
        print(report, file=sys.stderr)
