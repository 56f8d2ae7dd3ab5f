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

from swinkit.errors import ConfigError, DataError, require
from swinkit.settings import expand_user, from_plain
from swinkit.task.base import Recognized, Task
from swinkit.task.options import check_range

if TYPE_CHECKING:
    from swinkit.data.config import DataConfig
    from swinkit.data.inspection import Inspection
    from swinkit.task.weights import TaskWeights

# In the order in which data is tried: the folders of a detection or segmentation data set could be
# taken for classes, not the other way round.
TASKS: dict[str, str] = {
    "detection": "swinkit.detection",
    "segmentation": "swinkit.segmentation",
    "classification": "swinkit.classification",
    "pretraining": "swinkit.pretraining",
}
DEFAULT = "classification"

Scan = Literal["header", "full", "none"]


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
    found, fault = None, None
    try:
        found = _first_of(tasks, where)
    except DataError as error:
        fault = error
    if os.path.isdir(where) and (found is None or found.kind == "folders"):
        _tell_deeper(where, found, tasks)
    if fault is not None:
        raise fault
    if found is not None:
        return found
    *first, last = [text for task in tasks if (text := task.layouts(where))]
    raise DataError(f"{where}: no data set recognized; looked for {', '.join(first)}, and {last}")


def _first_of(tasks: list[Task[Any, Any]], where: Path) -> Recognized | None:
    """What the first task that knows such data says of it."""
    return next((found for task in tasks if (found := task.recognize(where))), None)


def _tell_deeper(where: Path, found: Recognized | None, tasks: list[Task[Any, Any]]) -> None:
    """Name the folders deeper in one that hold the data set which was meant, where it seems so.

    Raises:
        DataError: the folder itself is of no use.
    """
    from swinkit.data.below import annotated_below, sole_below, tell

    def any_kind(folder: Path) -> str | None:
        here = _first_of(tasks, folder)
        if here is None:
            return None
        single = here.kind == "folders" and len(get_task(here.task).names_in(folder)) < 2
        return None if single else f"{here.task}, {here.kind}"

    def annotated(folder: Path) -> str | None:
        here = _first_of(tasks, folder)
        return None if here is None or here.kind == "folders" else f"{here.task}, {here.kind}"

    useless = found is None or len(get_task(found.task).names_in(where)) < 2
    deeper = annotated_below(where, annotated) or (sole_below(where, any_kind) if useless else {})
    if deeper:
        tell(where, deeper, useless=useless)


def find_images_of(config: "DataConfig") -> dict[str, list[Path]]:
    """The images of a data set of any task, without labels, by split or under "all".

    Raises:
        DataError: a data set that is broken.
        ImageError: no image.
    """
    from swinkit.pretraining.data import pictures_below

    try:
        found = recognize(config.path, config.kind)
    except DataError:  # no labels that anything knows, and none are needed
        return pictures_below(config)
    samples = get_task(found.task).samples_in(config)
    if samples is None:
        return pictures_below(config)
    return {split: [sample.path for sample in part] for split, part in samples.items()}


def option_owners(options: Callable[[Task[Any, Any]], type[Any]]) -> dict[str, list[str]]:
    """The kinds of model that have an option, for the options that not all of them have."""
    owners: dict[str, list[str]] = {}
    for task in reversed(all_tasks()):
        for name in options(task).__dataclass_fields__:
            owners.setdefault(name, []).append(task.model_kind)
    return owners


def inspect(
    data: str | Path,
    *,
    kind: str = "auto",
    scan: Scan = "header",
    pictures: int = 16,
    seed: int = 0,
    channels: int | Literal["auto"] = "auto",
    shown_bands: tuple[int, ...] | None = None,
    out: str | Path | None = None,
) -> "Inspection":
    """Look at a data set of any task before training: counts, sizes, problems, and pictures.

    Args:
        data: a folder, or a .json, .yaml or .csv file.
        kind: how the data is written; "auto" finds out.
        scan: check of every image: "header" is fast, "full" decodes each, "none" trusts them.
        pictures: how many samples to draw with their annotations.
        seed: chooses them.
        channels: of the images; "auto" looks.
        shown_bands: the one or three bands, counted from 1, to draw; None: the first.
        out: folder for index.html and pictures.png.

    Returns:
        Tables, notes, problems and pictures.

    Raises:
        DataError: nothing there, or nothing that any task can use.
        MissingPackage: `out` where matplotlib is not installed.
        SwinkitError: a refused write.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number, name in enumerate(["red", "red", "blue", "blue"]):
        ...         file = pathlib.Path(folder) / name / f"{number}.png"
        ...         file.parent.mkdir(exist_ok=True)
        ...         Image.new("RGB", (32, 32), name).save(file)
        ...     found = swinkit.inspect(folder)
        >>> found.title, found.tables[0].rows[0], found.problems
        ('classification', ('blue', '1', '1'), ())
    """
    from swinkit.data.config import DataConfig

    check_range("pictures", pictures, 0)
    check_range("seed", seed, 0)
    if out is not None:
        require("matplotlib")  # said before the data is read
    found = recognize(data, kind)
    shown = None if shown_bands is None else list(shown_bands)
    settings = {"path": str(data), "kind": kind, "scan": scan}
    config = from_plain(DataConfig, {**settings, "channels": channels, "shown_bands": shown})
    inspection = get_task(found.task).inspect(config, pictures=pictures, seed=seed)
    if out is not None:
        from swinkit.data.page import write_page

        write_page(inspection, Path(out))
    return inspection
