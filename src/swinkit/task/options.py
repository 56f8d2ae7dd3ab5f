"""Options of the commands that tasks have in common, and how they are checked.

A command's dataclass derives from the options of every task. An option that several tasks have
stands in a class of its own here, from which theirs derive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from swinkit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of `swinkit predict` that a task has beside the common ones."""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `swinkit evaluate` that a task has beside the common ones."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(EvaluateOptions):
    """How images are read."""

    workers: int = 0
    """Classifier: processes that read images, beside the main one."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"workers is {self.workers}; it must be >= 0")


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Views of an image: mirrored, and in several sizes."""

    augment: bool = False
    """Detector, segmenter: look at each image mirrored too, and in the sizes of --scales."""
    scales: tuple[float, ...] = (0.75, 1.0, 1.25)
    """Sizes of --augment, as factors of the usual one."""


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """Results as pictures."""

    masks: Path | None = None
    """Write a PNG per image into this folder: the class of each pixel, in the classes' colors;
    of a detector the number of the object at each pixel, from 1, in 16 bits."""


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
