"""Folders of images, one folder per class, with or without folders per split above them."""

from pathlib import Path

from swinkit.classification.data.samples import Labelled
from swinkit.data.splitting import SPLIT_ALIASES, SPLIT_NAMES, name_some
from swinkit.errors import DataError
from swinkit.images.sources import is_image_name, walk_images

Found = tuple[dict[str, list[Labelled]], list[str]]  # split (or "all") -> images; notes


def read_folders(path: Path) -> Found:
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
    found: dict[str, list[Labelled]] = {}
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


def read_class_folder(path: Path) -> tuple[list[Labelled], list[str]]:
    """Every image below the class folders of `path`, sorted, with its class; and notes.

    Raises:
        DataError: no image in any class folder.
    """
    images: list[Labelled] = []
    empty: list[str] = []
    for folder in _subfolders(path):
        files = walk_images(folder)
        images += [(file, folder.name) for file in files]
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
