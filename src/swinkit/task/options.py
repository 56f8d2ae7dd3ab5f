"""Options of the commands that tasks have in common, and how they are checked.

A command's dataclass derives from the options of every task. An option that several tasks have
stands in a class of its own here, from which theirs derive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from swinkit.errors import ConfigError

MOST_WORKERS = 256
LARGEST_SCALE = 10.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Values that check themselves, also where several tasks' options are one command's."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a value out of range; each class goes on with the next one."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options):
    """Options of `swinkit predict` that a task has beside the common ones."""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `swinkit evaluate` that a task has beside the common ones."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(EvaluateOptions):
    """How images are read."""

    workers: int = 0
    """Classifier: processes that read images, beside the main one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("workers", self.workers, 0, MOST_WORKERS)


@dataclass(frozen=True, kw_only=True)
class ViewOptions(Options):
    """Views of an image: mirrored, and in several sizes."""

    augment: bool = False
    """Detector, segmenter: look at each image mirrored too, and in the sizes of --scales."""
    scales: tuple[float, ...] = (0.75, 1.0, 1.25)
    """Sizes of --augment, as factors of the usual one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scales or not all(0 < scale <= LARGEST_SCALE for scale in self.scales):
            raise ConfigError(
                f"scales is {' '.join(map(str, self.scales)) or 'empty'}; give factors above 0 and "
                f"up to {LARGEST_SCALE:g}, such as 0.75 1 1.25"
            )


@dataclass(frozen=True, kw_only=True)
class MaskOptions(Options):
    """Results as pictures."""

    masks: Path | None = None
    """Write a PNG per image into this folder: the class of each pixel, in the classes' colors;
    of a detector the number of the object at each pixel, from 1, in 16 bits."""


def check_range(name: str, value: float | None, low: float, high: float | None = None) -> None:
    """Refuse a value that is not in low..high; None is fine, NaN is not. Raises ConfigError."""
    if value is None or (value >= low and (high is None or value <= high)):
        return
    right = f"be >= {low}" if high is None else f"lie in {low}..{high}"
    raise ConfigError(f"{name} is {value}; it must {right}")


def options_from(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """An options dataclass from those of the values that are its fields."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def refuse_options_of_others(
    command: Any, own: type[Any], others: Mapping[str, Sequence[str]], holder: str
) -> None:
    """Refuse an option that was given and means nothing to the model.

    Args:
        command: a dataclass of options.
        own: the options of the model's task.
        others: the kinds of model that have an option; one without an entry belongs to all.
        holder: such as "best.safetensors holds a classifier".

    Raises:
        ConfigError: names the option and the kinds of model that have it.
    """
    known = {field.name for field in fields(own)}
    for option in fields(command):
        owners = others.get(option.name)
        if owners is None or option.name in known:
            continue
        if getattr(command, option.name) != option.default:
            raise ConfigError(
                f"--{option.name.replace('_', '-')} is an option of a {' or '.join(owners)}, "
                f"but {holder}; leave it out"
            )
