"""The tasks by name, by model and by data.

A new task is a folder with a `task.py` that holds its `TASK` and a `checkpoint.py` that holds its
`WEIGHTS`, and one line in `TASKS`. Importing this needs no PyTorch.
"""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from swinkit.errors import ConfigError, DataError
from swinkit.settings import Progress, expand_user
from swinkit.task.base import Recognized, Report, Split, Task
from swinkit.task.class_names import ClassNames, named_classes

if TYPE_CHECKING:
    from swinkit.data.config import DataConfig
    from swinkit.task.model import TaskModel
    from swinkit.task.options import EvaluateOptions
    from swinkit.task.weights import TaskWeights

# In the order in which data is tried: the folders of a detection or segmentation data set could be
# taken for classes, not the other way round.
TASKS: dict[str, str] = {
    "detection": "swinkit.detection",
    "segmentation": "swinkit.segmentation",
    "classification": "swinkit.classification",
}
DEFAULT = "classification"


def get_task(name: str) -> Task[Any, Any]:
    """The task of that name. Raises ConfigError where there is none; the message lists them."""
    task: Task[Any, Any] = _import(name, "task").TASK
    return task


def task_weights(name: str) -> "TaskWeights[Any]":
    """What the task's weight files need to know of it; imports neither its data nor its pictures.

    Raises:
        ConfigError: no such task; the message lists them.
    """
    weights: TaskWeights[Any] = _import(name, "checkpoint").WEIGHTS
    return weights


def _import(name: str, module: str) -> ModuleType:
    if name not in TASKS:
        raise ConfigError(f"no task named {name!r}; choose one of {', '.join(sorted(TASKS))}")
    return import_module(f"{TASKS[name]}.{module}")


def all_tasks() -> list[Task[Any, Any]]:
    """Every task, in the order in which data is tried."""
    return [get_task(name) for name in TASKS]


def task_of_network(name: str) -> Task[Any, Any] | None:
    """The task whose `create_` function knows the name; None where none does."""
    return next((task for task in all_tasks() if name in task.network_names()), None)


def recognize(path: str | Path, kind: str = "auto") -> Recognized:
    """What data lies at a path, found by looking.

    Args:
        path: a folder, or a .json, .yaml or .csv file.
        kind: "auto", or how the data is written, where that is known.

    Raises:
        DataError: nothing there, or nothing that any task can use; says what was looked for.
    """
    where = expand_user(Path(path))
    if not os.path.exists(where):  # Path.exists raises for a name that is too long
        raise DataError(f"{where}: no such file or folder; check the path")
    tasks = all_tasks()
    for task in tasks:
        if kind in task.data_kinds:
            return Recognized(task=task.name, kind=kind)
    for task in tasks:
        found = task.recognize(where)
        if found is not None:
            return found
    *first, last = [task.layouts(where) for task in tasks]
    raise DataError(f"{where}: no data set recognized; looked for {', '.join(first)}, and {last}")


def option_owners(options: Callable[[Task[Any, Any]], type[Any]]) -> dict[str, list[str]]:
    """The kinds of model that have an option, for the options that not all of them have."""
    owners: dict[str, list[str]] = {}
    for task in reversed(all_tasks()):
        for name in options(task).__dataclass_fields__:
            owners.setdefault(name, []).append(task.model_kind)
    return owners


def evaluate(
    model: "TaskModel",
    data: "str | Path | DataConfig | Any",
    *,
    split: Split | None = None,
    class_names: ClassNames | None = None,
    options: "EvaluateOptions | None" = None,
    batch_size: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    progress: Progress | None = None,
) -> Report:
    """Measure a trained model of any task on labeled images.

    Args:
        model: its `info` names the classes and the preprocessing.
        data: a path, a `DataConfig`, or the task's splits or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        class_names: of the model's classes, where the weights do not tell them as the data does:
            the names, a file with a name a line, "imagenet" for ImageNet's WordNet ids, or the
            data's own names, "sorted" by the alphabet or "numeric" by the numbers in them.
            WordNet ids are known to weights for ImageNet's 1,000 classes without this.
        options: of the model's task, such as tiles or a sliding window; None takes its defaults.
        batch_size: images in one forward pass; None takes the task's.
        device: moves the model there first; None leaves it where it is.
        out: folder for the report's files and pictures.
        on_bad_image: "skip" leaves unreadable images out.
        progress: called with (images done, all).

    Returns:
        The task's report: a `ClassificationReport`, `DetectionReport` or `SegmentationReport`.

    Raises:
        DataError: no such data or split, or classes that the model does not know.
        ImageError: an unreadable image with on_bad_image="refuse".
        ConfigError: options out of range.

    Example:
        >>> import numpy, pathlib, tempfile
        >>> from PIL import Image
        >>> model = swinkit.create_model("swin_nano", class_names=["dark", "light"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, value in (("dark", 0), ("light", 255)):
        ...         image = pathlib.Path(folder) / name / "a.png"
        ...         image.parent.mkdir()
        ...         Image.fromarray(numpy.full((64, 64, 3), value, "uint8")).save(image)
        ...     report = swinkit.evaluate(model, folder)
        >>> report.top1 in (0.0, 0.5, 1.0)
        True
    """
    task = get_task(model.task)
    if device is not None:
        model.to(device)
    with named_classes(task, model, data, class_names):
        report, _ = task.evaluate(
            model,
            data,
            options or task.evaluate_options(),
            split=split,
            batch_size=batch_size or task.evaluate_batch_size,
            out=None if out is None else Path(out),
            on_bad_image=on_bad_image,
            progress=progress,
        )
    return report
