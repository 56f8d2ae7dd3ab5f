"""Folders of classes, with or without folders of splits above them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from swinkit.data.problems import Problem
from swinkit.data.splits import SPLIT_ALIASES, SPLIT_NAMES, name_some
from swinkit.errors import DataError
from swinkit.images.sources import is_image_name, walk_images

# Folders that tell images from their truth are no classes.
ROLES = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photos", "pictures", "rgb", "input", "inputs"}
    | {"mask", "masks", "label", "labels", "annotation", "annotations", "annot", "gt", "truth"}
    | {"groundtruth", "ground_truth", "segmentation", "segmentations", "seg", "target", "targets"}
    | {"segmentationclass", "segmentationobject", "labelids", "imagesets"}
)
WAY_OUT = (
    "put each picture into a folder of its class (train/CLASS/x.jpg), or list them in a CSV file "
    "with columns path,label"
)


class NoClassesError(DataError):
    """Folders with pictures whose names no class has."""


class LabeledPath(NamedTuple):
    """An image and the name of its class."""

    path: Path
    label: str


@dataclass
class LabeledFiles:
    """What folders or lists hold.

    Attributes:
        by_split: images under "train", "val", "test", or under "all".
        notes: remarks, one line each. problems: what was wrong, item by item.
    """

    by_split: dict[str, list[LabeledPath]]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_folders(path: Path, *, need_train: bool = True) -> LabeledFiles:
    """Images by split, from `train`, `val`, `test` folders (any case, `valid` and `validation`
    too) of class folders, or under the one key "all" from class folders alone.

    Args:
        need_train: refuse folders of splits without one for training.

    Raises:
        DataError: no such folder, no class folder with images, or splits that contradict.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder; check the path")
    if not path.is_dir():
        raise DataError(f"{path}: is a file; name a folder of images, or a .csv list")
    splits = split_folders(path)
    loose = _loose_splits(path, splits)
    if need_train and splits and "train" not in splits:
        if "train" in loose:
            raise NoClassesError(
                f"{loose['train']}: holds pictures but no class folders; {WAY_OUT}"
            )
        raise DataError(
            f"{path}: has {name_some([folder.name for folder in splits.values()])} but no train "
            "folder; add one"
        )
    if not splits:
        _refuse_names(path, loose)
        images, notes = read_class_folder(path)
        return LabeledFiles({"all": images}, notes)
    found = LabeledFiles({})
    for name, folder in splits.items():
        found.by_split[name], notes = read_class_folder(folder)
        found.notes += notes
    found.notes += [
        f"{folder}: {_count_loose(folder)} pictures without class folders were left out"
        for folder in loose.values()
    ]
    return found


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


def _loose_splits(path: Path, splits: dict[str, Path]) -> dict[str, Path]:
    """Folders with names of splits that hold pictures and no class folders."""
    return {
        SPLIT_ALIASES[folder.name.lower()]: folder
        for folder in _subfolders(path)
        if folder.name.lower() in SPLIT_ALIASES
        and folder not in splits.values()
        and _count_loose(folder)
    }


def _refuse_names(path: Path, loose: dict[str, Path]) -> None:
    """Raises NoClassesError where folders with pictures have names that no class has."""
    holding = [folder.name for folder in _subfolders(path) if walk_images(folder)]
    others = [name for name in holding if name.lower() not in SPLIT_ALIASES]
    if len(loose) > 1 or (loose and not others):
        names = [folder.name for folder in loose.values()]
        count = sum(_count_loose(folder) for folder in loose.values())
        raise NoClassesError(
            f"{path}: {name_some(names)} are splits, not classes, and hold {count} pictures "
            f"without class folders; {WAY_OUT}"
        )
    if holding and all(name.lower() in ROLES for name in holding):
        raise NoClassesError(
            f"{path}: {name_some(holding)} are no classes; name the pictures' classes by folders "
            "or a CSV file with columns path,label; masks need the names of their images"
        )


def read_class_folder(path: Path) -> tuple[list[LabeledPath], list[str]]:
    """Every image below the class folders of `path`, sorted, with its class; and notes.

    Raises:
        DataError: no image in any class folder.
    """
    images: list[LabeledPath] = []
    empty: list[str] = []
    second: dict[str, list[str]] = {}
    for folder in _subfolders(path):
        files = walk_images(folder)
        images += [LabeledPath(file, folder.name) for file in files]
        if not files:
            empty.append(folder.name)
        below = sorted(
            {file.relative_to(folder).parts[0] for file in files if file.parent != folder}
        )
        if below:
            second[folder.name] = below
    loose = _count_loose(path)
    notes = []
    if empty:
        notes.append(f"{path}: no images in {name_some(empty)}")
    if loose:
        notes.append(f"{path}: {loose} images outside the class folders were left out")
    if any(len(below) > 1 for below in second.values()):
        notes.append(_second_level(path, second))
    if not images:
        hint = f" ({loose} images lie beside them: move each into its class)" if loose else ""
        raise DataError(
            f"{path}: no images in class folders{hint}; expected one folder per class, or "
            "train, val and test folders of them"
        )
    return images, notes


def _second_level(path: Path, second: dict[str, list[str]]) -> str:
    shown = [f"{name}/{below}" for name, inner in second.items() for below in inner]
    return (
        f"{path}: the class folders hold folders themselves ({name_some(shown)}); the first level "
        "was taken for the classes: for the second, move its folders up, or list the images in a "
        "CSV file with columns path,label"
    )


def _count_loose(path: Path) -> int:
    return sum(1 for file in path.iterdir() if is_image_name(file.name) and file.is_file())


def _subfolders(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and child.name[0] != "." and child.name != "__MACOSX"
    )
