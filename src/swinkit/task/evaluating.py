"""Which labelled samples a detector or a segmenter is measured on. K classes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from swinkit.data.config import DataConfig
from swinkit.errors import DataError
from swinkit.task.base import Split
from swinkit.task.model import TaskModel


def choose_samples(
    model: TaskModel[Any],
    data: Any,
    split: Split | None,
    *,
    load: Callable[..., Any],
    load_samples: Callable[..., tuple[list[Any], Any]],
) -> list[Any]:
    """The samples that `data` and `split` mean, their labels in the order of the model's classes.

    Args:
        model: names the classes, or at least their number.
        data: a path, settings, the task's splits or a sequence of its samples.
        split: which part of splits; None takes the test split, else the validation split.
        load, load_samples: the task's readers of settings and of a path.

    Raises:
        DataError: no such data or split, no sample, or other classes than the model's.
    """
    names = model.info.class_names
    if isinstance(data, (str, Path)):
        data, loaded = load_samples(data, names, split=split)
        _check_names(loaded.class_names, model)
    elif isinstance(data, DataConfig):
        data = load(data, names)
    if not isinstance(data, Sequence):
        _check_names(data.class_names, model)
        splits = data.by_name()
        chosen = split or ("test" if "test" in splits else "val")
        if chosen not in splits:
            raise DataError(f"the data has no {chosen} split, only {', '.join(splits)}")
        data = splits[chosen]
    samples = list(data)
    if not samples:
        raise DataError("no image to evaluate on; choose another split or check the data")
    return samples


def _check_names(data: tuple[str, ...], model: TaskModel[Any]) -> None:
    names = model.class_names
    named = model.info.class_names is not None
    if data == names or (not named and len(data) == len(names)):
        return
    raise DataError(
        f"the data has the {len(data)} classes {', '.join(data[:5])}, the model the {len(names)} "
        f"classes {', '.join(names[:5])}; evaluate on data with the model's classes"
    )
