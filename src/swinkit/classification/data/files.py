"""Which images a classification data set has, and their classes: folders per class, or CSV lists.

Folders: one per class, with or without folders per split above them. Lists: one CSV file with
columns path, label and perhaps split, or one file a split.
"""

import csv
from pathlib import Path
from typing import Literal, NamedTuple

from swinkit.data.splits import SPLIT_ALIASES, SPLIT_NAMES, name_some
from swinkit.errors import DataError
from swinkit.images.sources import is_image_name, walk_images

COLUMNS = ("path", "label", "split")


class LabeledPath(NamedTuple):
    """An image and the name of its class."""

    path: Path
    label: str


ImagesBySplit = tuple[dict[str, list[LabeledPath]], list[str]]  # under "all" without splits; notes
Row = tuple[Path, str, str]  # image, class, split


def recognize_files(path: Path) -> Literal["lists", "folders"] | None:
    """How the classification data at a path is written; None where there is none.

    Raises:
        DataError: lists that contradict each other.
    """
    if path.suffix.lower() == ".csv" or (path.is_dir() and _has_train_list(path)):
        return "lists"
    return "folders" if path.is_dir() and folders_fault(path) is None else None


def folders_fault(folder: Path) -> str | None:
    """Why a folder holds no folders of classes; None where it does."""
    try:
        read_folders(folder)
    except DataError as error:
        return str(error).removeprefix(f"{folder}: ")
    return None


def read_files(path: Path, kind: str = "auto", *, need_train: bool = True) -> ImagesBySplit:
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
    if kind == "auto":
        kind = "lists" if path.is_file() or _has_train_list(path) else "folders"
    if kind == "lists":
        return read_lists(path)
    if not need_train and path.is_dir():
        folders = split_folders(path)
        if folders:
            return {name: read_class_folder(folder)[0] for name, folder in folders.items()}, []
    return read_folders(path)


def read_folders(path: Path) -> ImagesBySplit:
    """Images by split, from `train`, `val`, `test` folders (any case, `valid` and `validation`
    too) of class folders, or under the one key "all" from class folders alone.

    Raises:
        DataError: no such folder, no class folder with images, or splits that contradict.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder; check the path")
    if not path.is_dir():
        raise DataError(f"{path}: is a file; name a folder of images, or a .csv list")
    splits = split_folders(path)
    if splits and "train" not in splits:
        raise DataError(
            f"{path}: has {name_some([folder.name for folder in splits.values()])} but no train "
            "folder; add one"
        )
    if not splits:
        images, notes = read_class_folder(path)
        return {"all": images}, notes
    found: dict[str, list[LabeledPath]] = {}
    notes = []
    for name, folder in splits.items():
        found[name], more = read_class_folder(folder)
        notes += more
    return found, notes


def split_folders(path: Path) -> dict[str, Path]:
    """The folders of `path` that are splits, under "train", "val", "test"; empty if none is.

    A folder called `train` that holds images itself is a class (of vehicles), not a split.

    Raises:
        DataError: two folders for one split.
    """
    found: dict[str, Path] = {}
    for folder in _subfolders(path):
        name = SPLIT_ALIASES.get(folder.name.lower())
        if name is None or not any(walk_images(child) for child in _subfolders(folder)):
            continue
        if name in found:
            raise DataError(
                f"{path}: {found[name].name} and {folder.name} both mean the {name} split; "
                "rename or remove one"
            )
        found[name] = folder
    return {name: found[name] for name in SPLIT_NAMES if name in found}


def read_class_folder(path: Path) -> tuple[list[LabeledPath], list[str]]:
    """Every image below the class folders of `path`, sorted, with its class; and notes.

    Raises:
        DataError: no image in any class folder.
    """
    images: list[LabeledPath] = []
    empty: list[str] = []
    for folder in _subfolders(path):
        files = walk_images(folder)
        images += [LabeledPath(file, folder.name) for file in files]
        if not files:
            empty.append(folder.name)
    loose = sum(1 for file in path.iterdir() if file.is_file() and is_image_name(file.name))
    notes = []
    if empty:
        notes.append(f"{path}: no images in {name_some(empty)}")
    if loose:
        notes.append(f"{path}: {loose} images outside the class folders were left out")
    if not images:
        hint = f" ({loose} images lie beside them: move each into its class)" if loose else ""
        raise DataError(
            f"{path}: no images in class folders{hint}; expected one folder per class, or "
            "train, val and test folders of them"
        )
    return images, notes


def _subfolders(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and child.name[0] != "." and child.name != "__MACOSX"
    )


def read_lists(path: Path) -> ImagesBySplit:
    """Images by split ("all" where the file names none). Relative paths start at the CSV's folder.

    Raises:
        DataError: no such file, missing columns, an empty or unknown entry (with its line), or an
            image listed twice under different labels or splits.
    """
    if path.is_dir():
        return _join([_read(file, name) for name, file in list_files(path).items()], path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    return _join([_read(path, None)], path)


def list_files(folder: Path) -> dict[str, Path]:
    """The CSV files of a folder that are splits, under "train", "val", "test".

    Raises:
        DataError: two files for one split, or no train.csv beside the others.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = SPLIT_ALIASES.get(file.stem.lower())
        if name is None or file.suffix.lower() != ".csv" or not file.is_file():
            continue
        if name in found:
            raise DataError(
                f"{folder}: {found[name].name} and {file.name} both mean the {name} split; "
                "rename or remove one"
            )
        found[name] = file
    if "train" not in found:
        raise DataError(f"{folder}: no train.csv in this folder; add it, or name one CSV file")
    return {name: found[name] for name in SPLIT_NAMES if name in found}


def _read(file: Path, split: str | None) -> list[Row]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check it") from error
    lines = text.splitlines()
    if not lines:
        raise DataError(f"{file}: is empty; expected a header line with path,label")
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    header = [cell.strip().lower() for cell in next(reader)]
    missing = [name for name in COLUMNS[:2] if name not in header]
    if missing:
        raise DataError(
            f"{file}: no column {' and '.join(missing)} in its header {','.join(header)!r}; "
            "expected path,label or path,label,split"
        )
    places = {name: header.index(name) for name in COLUMNS if name in header}
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        rows.append(_row(cells, places, split, file, reader.line_num))
    return rows


def _row(cells: list[str], places: dict[str, int], split: str | None, file: Path, line: int) -> Row:
    values = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()
    }
    empty = [name for name, value in values.items() if not value]
    if empty:
        raise DataError(f"{file}, line {line}: {' and '.join(empty)} is empty; fill it in")
    if split is None:
        named = values.get("split", "all")
        split = "all" if "split" not in values else SPLIT_ALIASES.get(named.lower())
        if split is None:
            raise DataError(f"{file}, line {line}: split is {named!r}; use train, val or test")
    image = Path(values["path"]).expanduser()
    return (image if image.is_absolute() else file.parent / image), values["label"], split


def _join(parts: list[list[Row]], path: Path) -> ImagesBySplit:
    seen: dict[Path, tuple[str, str]] = {}
    found: dict[str, list[LabeledPath]] = {}
    for image, label, split in (row for part in parts for row in part):
        before = seen.setdefault(image, (label, split))
        if before != (label, split):
            what = "labels" if before[0] != label else "splits"
            values = (before[0], label) if before[0] != label else (before[1], split)
            raise DataError(
                f"{path}: {image} is listed with two {what}, {values[0]} and {values[1]}; keep one"
            )
        found.setdefault(split, []).append(LabeledPath(image, label))
    if not seen:
        raise DataError(f"{path}: lists no images; add lines below its header")
    total = sum(len(images) for images in found.values())
    unique = {split: sorted(set(images)) for split, images in found.items()}
    notes = []
    if total > len(seen):
        notes.append(f"{path}: {total - len(seen)} repeated lines were left out")
    return unique, notes


def _has_train_list(folder: Path) -> bool:
    lists = [file for file in folder.glob("*.csv") if SPLIT_ALIASES.get(file.stem.lower())]
    return bool(lists) and "train" in list_files(folder)
