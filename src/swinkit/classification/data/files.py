"""Which images a classification data set has, and their classes: from folders or CSV lists."""

from pathlib import Path
from typing import Literal

from swinkit.classification.data.folders import LabeledFiles, NoClassesError, read_folders
from swinkit.classification.data.lists import (
    LIST_SUFFIXES,
    find_lists,
    find_named_lists,
    read_lists,
)
from swinkit.data.splits import name_some
from swinkit.errors import DataError
from swinkit.images.reading import misnamed_heic
from swinkit.images.sources import passed_over

Kind = Literal["lists", "folders"]


def recognize_files(path: Path) -> Kind | None:
    """How the classification data at a path is written; None where there is none.

    Raises:
        DataError: lists that contradict each other, or folders whose names no class has.
    """
    if not path.is_dir():
        return "lists" if path.suffix.lower() in LIST_SUFFIXES else None
    kind, found = _look(path)
    if isinstance(found, NoClassesError):
        raise found
    return None if isinstance(found, DataError) else kind


def folders_fault(folder: Path) -> str | None:
    """Why a folder holds no folders of classes; None where it does."""
    try:
        read_folders(folder)
    except DataError as error:
        return str(error).removeprefix(f"{folder}: ")
    return None


def read_files(path: Path, kind: str = "auto", *, need_train: bool = True) -> LabeledFiles:
    """Images by split, from lists or folders; see `read_lists` and `read_folders`.

    Args:
        path: a folder or a .csv file.
        kind: "lists", "folders", or "auto" to find out.
        need_train: refuse folders of splits without one for training.

    Raises:
        DataError: nothing there, or nothing that can be used.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    found: LabeledFiles | DataError | None = None
    if kind == "auto":
        kind, found = _look(path)
    if kind == "lists":
        return read_lists(path)
    if not isinstance(found, LabeledFiles):
        found = read_folders(path, need_train=need_train)
    found.notes += [f"{path}: {note}" for note in passed_over(path)]
    misnamed = misnamed_heic(image for images in found.by_split.values() for image, _ in images)
    if misnamed:
        names = name_some([image.name for image in misnamed], most=3)
        found.notes.append(f"{path}: {len(misnamed)} files called HEIC hold other images ({names})")
    return found


def _look(path: Path) -> tuple[Kind, LabeledFiles | DataError | None]:
    """How the data is written; of folders what they hold, or why they hold no classes.

    Lists that say so by their names come before folders of classes, others after them.
    """
    if not path.is_dir() or find_named_lists(path):
        return "lists", None
    try:
        found = read_folders(path)
    except DataError as error:
        return ("lists", None) if find_lists(path) else ("folders", error)
    classes = {label for images in found.by_split.values() for _, label in images}
    return ("lists", None) if len(classes) < 2 and find_lists(path) else ("folders", found)
