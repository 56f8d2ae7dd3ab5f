"""Class names for an evaluation whose weights do not tell them, or tell others than the data."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError
from swinkit.images.sources import natural_order
from swinkit.parsing import read_lines
from swinkit.task.base import Task

if TYPE_CHECKING:
    from swinkit.task.model import TaskModel

ClassNames = str | Path | Sequence[str]
WORDNET_ID = re.compile(r"(n\d{8})\s")


@contextlib.contextmanager
def named_classes(
    task: Task[Any, Any], model: "TaskModel[Any]", data: Any, class_names: ClassNames | None
) -> Iterator[None]:
    """The model under other class names, as long as an evaluation takes.

    Args:
        data: what is evaluated on.
        class_names: "sorted" or "numeric" for the data's own names in the order of the alphabet
            or of the numbers in them, the name of one of the task's lists, a file with a name a
            line, or the names themselves. None: the model's own, unless the task knows what the
            data's names mean.

    Raises:
        ConfigError: another number of names than of classes, or a name twice.
        DataError: an unreadable file, or names that mean nothing to the model.
    """
    before = model.info
    names = _read(task, model, data, class_names)
    if names is not None:
        name, times = max(Counter(names).items(), key=itemgetter(1), default=("", 0))
        if times > 1:
            raise ConfigError(f"class-names {class_names}: {name!r} is there {times} times")
        if len(names) != model.num_classes:
            raise ConfigError(
                f"class-names {class_names}: {len(names)} names, but the model has "
                f"{model.num_classes} classes; give one for each"
            )
        model.info = replace(before, class_names=names)
    try:
        yield
    finally:
        model.info = before


def _read(
    task: Task[Any, Any], model: "TaskModel[Any]", data: Any, class_names: ClassNames | None
) -> tuple[str, ...] | None:
    where = data.path if isinstance(data, DataConfig) else data
    where = Path(where).expanduser() if isinstance(where, (str, Path)) else None
    if class_names is None:
        return None if where is None else task.implied_names(model, where)
    if not isinstance(class_names, (str, Path)):
        return tuple(class_names)
    if class_names in ("sorted", "numeric"):
        if where is None:
            raise ConfigError(f"class_names={class_names!r} needs data at a path; give the names")
        names = task.names_in(where)
        if class_names == "sorted":
            return tuple(sorted(names))
        return tuple(sorted(names, key=lambda name: natural_order(Path(name))))
    listed = task.name_lists.get(str(class_names))
    if listed is not None:
        return read_names(listed)
    path = Path(class_names).expanduser()
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        known = ", ".join((*task.name_lists, "sorted", "numeric"))
        raise ConfigError(f"class-names is {class_names}: no such file, and none of {known}")
    return read_names(path)


def read_names(path: Path) -> tuple[str, ...]:
    """The names of a file with one a line; of lines such as "n01440764 tench" the WordNet ids.

    Raises:
        DataError: unreadable.
    """
    lines = [line for line in read_lines(path) if line and not line.startswith("# ")]
    found = [WORDNET_ID.match(line) for line in lines]
    if lines and all(found):
        return tuple(match[1] for match in found if match)
    return tuple(lines)
