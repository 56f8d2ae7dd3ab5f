"""CSV lists of images and their classes: which files are lists, their columns, and their rows.

A list has a column of images and one of classes, or a column for each class with a 1 where an
image is of it (Roboflow's `_classes.csv`), and perhaps one of splits.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from swinkit.classification.data.folders import LabeledFiles, LabeledPath
from swinkit.data.problems import Problem, ProblemKind
from swinkit.data.splits import SPLIT_ALIASES, SPLIT_NAMES, name_some
from swinkit.errors import DataError
from swinkit.images.sources import ImageFinder, is_image_name
from swinkit.parsing import number, read_table

# In the order of preference.
IMAGE_COLUMNS = (
    *("path", "filepath", "file_path", "image_path", "img_path", "filename", "file_name"),
    *("file", "image", "images", "img", "image_name", "imagename", "img_name", "image_file"),
    *("image_id", "imageid", "img_id", "id_code", "fname", "photo", "picture", "uri", "id"),
)
LISTING_COLUMNS = ("tags", "attributes")  # of several words
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "classname", "label_name", "category"),
    *("category_name", "diagnosis", "dx", "target", "species", "breed", "tag", "level"),
    *("class_id", "label_id", "category_id", "classid", "y", *LISTING_COLUMNS),
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "data set", "dataset", "fold_name")
NO_CLASS = frozenset({"unlabeled", "unlabelled"})  # Roboflow's column of images without any
LIST_SUFFIXES = (".csv", ".tsv")
LISTS_IN_SPLITS = ("_classes.csv", "metadata.csv", "labels.csv", "annotations.csv")


class Row(NamedTuple):
    """A line of a list: the image as it is written, and what it says."""

    line: int
    image: str
    label: str
    split: str


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are used; `classes` where each class has one."""

    image: str
    label: str | None
    split: str | None
    classes: tuple[str, ...] = ()


def find_named_lists(folder: Path) -> dict[str, Path]:
    """Lists that names make lists, under their splits: train.csv (or train_labels.csv) and those
    beside it, or `_classes.csv`, metadata.csv and their like among the pictures of each split.

    Raises:
        DataError: two files for one split.
    """
    named = _lists_by_name(folder)
    if "train" in named:
        return named
    within: dict[str, Path] = {}
    for child in sorted(folder.iterdir()):
        split = SPLIT_ALIASES.get(child.name.lower())
        if split is not None and child.is_dir() and any(map(is_image_name, os.listdir(child))):
            files = (child / name for name in LISTS_IN_SPLITS)
            file = next((file for file in files if file.is_file() and is_list(file)), None)
            if file is not None:
                _claim(within, split, file, folder)
    return {name: within[name] for name in SPLIT_NAMES if name in within}


def find_lists(folder: Path) -> dict[str, Path]:
    """The named lists of a folder, else under "all" its one .csv file with the columns of a list.

    Samples of a competition's submission are none: their classes are made up.

    Raises:
        DataError: two files for one split, or several lists to select from.
    """
    named = find_named_lists(folder)
    if named:
        return named
    files = [file for file in _csv_files(folder) if "submission" not in file.stem.lower()]
    lists = [file for file in files if is_list(file)]
    if len(lists) > 1:
        raise DataError(
            f"{folder}: {name_some([file.name for file in lists])} all list images; name one of "
            "them instead of the folder"
        )
    return {"all": lists[0]} if lists else {}


def list_files(folder: Path) -> dict[str, Path]:
    """`find_lists`, where there must be one.

    Raises:
        DataError: as `find_lists`, or none there.
    """
    found = find_lists(folder)
    if not found:
        raise DataError(f"{folder}: no train.csv in this folder; add it, or name one CSV file")
    return found


def is_list(file: Path) -> bool:
    """Whether a CSV file has columns of images and of classes."""
    try:
        columns = _columns(file, [row for _, row in read_table(file)])
    except DataError:
        return False
    return columns.label is not None or bool(columns.classes)


def read_lists(path: Path) -> LabeledFiles:
    """Images by split ("all" where the file names none). Relative paths start at the CSV's folder.

    Raises:
        DataError: no such file, missing columns, an empty or unknown entry (with its line), or an
            image listed twice under different labels or splits.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    files = list_files(path) if path.is_dir() else {"all": path}
    reader = _Reader(path)
    for split, file in files.items():
        if path.is_dir() and split == "all":
            reader.notes.append(f"{path}: images and classes were read from {file.name}")
        reader.read(file, split)
    return reader.finish()


def _lists_by_name(folder: Path) -> dict[str, Path]:
    """Files such as train.csv, train_labels.csv and labels_val.csv."""
    found: dict[str, Path] = {}
    for file in _csv_files(folder):
        words = file.stem.lower().replace("-", "_").split("_")
        words = [word for word in words if word not in ("labels", "label", "list", "set", "data")]
        split = SPLIT_ALIASES.get(words[0]) if len(words) == 1 else None
        if split is not None:
            _claim(found, split, file, folder)
    return {name: found[name] for name in SPLIT_NAMES if name in found}


def _csv_files(folder: Path) -> list[Path]:
    files = (file for file in folder.iterdir() if file.suffix.lower() in LIST_SUFFIXES)
    return sorted(file for file in files if file.is_file() and not file.name.startswith("."))


def _claim(found: dict[str, Path], split: str, file: Path, folder: Path) -> None:
    if split in found:
        names = [str(each.relative_to(folder)) for each in (found[split], file)]
        raise DataError(
            f"{folder}: {names[0]} and {names[1]} both mean the {split} split; rename or remove one"
        )
    found[split] = file


def _columns(file: Path, rows: Sequence[dict[str, str]]) -> Columns:
    """Which columns hold what.

    Raises:
        DataError: none of images.
    """
    header = list(rows[0]) if rows else []
    lower = {name.lower(): name for name in header}

    def first(names: Sequence[str]) -> str | None:
        return next((lower[name] for name in names if name in lower), None)

    image, label, split = first(IMAGE_COLUMNS), first(LABEL_COLUMNS), first(SPLIT_COLUMNS)
    others = [name for name in header if name and name not in (image, label, split)]
    others = [name for name in others if not name.lower().startswith("unnamed:")]  # pandas' index
    if image is None and any(is_image_name(name) for name in header):
        raise DataError(
            f"{file}: its first line {','.join(header)!r} names no columns; write path,label above"
        )
    if image is None and label is not None and len(others) == 1:
        image = others.pop()
    if image is not None and label is None and len(others) == 1 and len(header) == 2 + bool(split):
        label = others.pop()
    if image is None:
        raise DataError(
            f"{file}: no column of images in its header {','.join(header)!r}; expected path,label "
            "or path,label,split"
        )
    if label is None and len(others) > 1:
        marked = all(number(row[name] or "0") in (0, 1) for row in rows for name in others)
        return Columns(image, None, split, tuple(others) if marked else ())
    return Columns(image, label, split)


class _Reader:
    """Gathers the rows of lists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[Path, tuple[str, str]] = {}
        self.images: dict[str, list[LabeledPath]] = {}
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        self.repeated = 0

    def read(self, file: Path, split: str) -> None:
        """Add the rows of a file.

        Raises:
            DataError: no columns, an entry that cannot be used, or one that contradicts another.
        """
        numbered = list(read_table(file, lower=False))
        if not numbered:
            raise DataError(f"{file}: lists no images; add lines below its header")
        columns = _columns(file, [row for _, row in numbered])
        if columns.label is None and not columns.classes:
            if split in ("val", "test"):
                self.notes.append(f"{file}: has no column of classes and was left out")
                return
            raise DataError(
                f"{file}: no column of classes in its header {','.join(numbered[0][1])!r}; "
                "expected path,label, or a column of 0 and 1 for each class"
            )
        if columns.image.lower() != "path" or (columns.label or "").lower() != "label":
            shown = columns.label or f"one of {name_some(list(columns.classes))}"
            note = f"{self.path}: images are in column {columns.image}, classes in {shown}"
            if note not in self.notes:
                self.notes.append(note)
        finder = ImageFinder(file.parent)
        for line, cells in numbered:
            row = self._row(file, line, cells, columns, split)
            if row is not None:
                self._add(finder.find(row.image, prefer=_names_of(row.split)), row)

    def _row(
        self, file: Path, line: int, cells: dict[str, str], columns: Columns, split: str
    ) -> Row | None:
        where = f"{file}, line {line}"
        image = cells[columns.image]
        classes = _classes_of(cells, columns)
        if len(classes) > 1 or (columns.classes and not classes):
            kind: ProblemKind = "image of several classes" if classes else "image without a class"
            done = f"{image}: {name_some(classes)}; left out" if classes else f"{image}: left out"
            self.problems.append(Problem(kind, where, done))
            return None
        label = classes[0] if classes else ""
        required = {columns.image: image, columns.label or "class": label}
        empty = [name for name, value in required.items() if not value]
        if columns.split is not None and split == "all":
            value = cells[columns.split]
            if not value:
                empty.append(columns.split)
            elif value.lower() not in SPLIT_ALIASES:
                raise DataError(f"{where}: {columns.split} is {value!r}; use train, val or test")
            split = SPLIT_ALIASES.get(value.lower(), split)
        if empty:
            raise DataError(f"{where}: {' and '.join(empty)} is empty; fill it in")
        return Row(line, image, label, split)

    def _add(self, image: Path, row: Row) -> None:
        before = self.seen.setdefault(image, (row.label, row.split))
        if before != (row.label, row.split):
            what = "labels" if before[0] != row.label else "splits"
            values = (before[0], row.label) if what == "labels" else (before[1], row.split)
            raise DataError(
                f"{self.path}: {image} is listed with two {what}, {values[0]} and {values[1]}; "
                "keep one"
            )
        images = self.images.setdefault(row.split, [])
        images.append(LabeledPath(image, row.label))

    def finish(self) -> LabeledFiles:
        """All that was read.

        Raises:
            DataError: no image with one class.
        """
        if not self.seen:
            several = sum(problem.kind == "image of several classes" for problem in self.problems)
            what = f"no image of exactly one class ({several} have several)"
            raise DataError(
                f"{self.path}: {what if self.problems else 'lists no images'}; a classifier gives "
                "one class to an image"
            )
        total = sum(len(images) for images in self.images.values())
        unique = {split: sorted(set(images)) for split, images in self.images.items()}
        if total > len(self.seen):
            self.notes.append(f"{self.path}: {total - len(self.seen)} repeated lines were left out")
        unlisted = _unlisted(self.seen)
        if unlisted:
            names = name_some([image.name for image in unlisted], most=3)
            note = f"{len(unlisted)} images beside the listed ones are in no list ({names})"
            self.notes.append(f"{self.path}: {note}")
        return LabeledFiles(unique, self.notes, self.problems)


def _classes_of(cells: dict[str, str], columns: Columns) -> list[str]:
    """The classes that a line gives its image: one of them is needed."""
    if columns.label is None:
        named = [name for name in columns.classes if name.lower() not in NO_CLASS]
        return [name for name in named if number(cells[name]) == 1]
    separators = r"[\s,;|]+" if columns.label.lower() in LISTING_COLUMNS else r"\|"
    return [part for part in re.split(separators, cells[columns.label]) if part.strip()]


def _names_of(split: str) -> list[str]:
    """Words in the names of folders that hold a split's images; training's where none is named."""
    wanted = "train" if split == "all" else split
    return [name for name, target in SPLIT_ALIASES.items() if target == wanted]


def _unlisted(listed: dict[Path, tuple[str, str]]) -> list[Path]:
    """Images in the folders of the listed ones that are not listed."""
    # Path.is_dir raises for a name that is too long.
    folders = sorted({image.parent for image in listed if os.path.isdir(image.parent)})
    return [
        file
        for folder in folders
        for file in sorted(folder.iterdir())
        if is_image_name(file.name) and file not in listed and file.is_file()
    ]
