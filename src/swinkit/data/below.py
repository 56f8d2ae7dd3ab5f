"""Data sets that lie deeper than the folder that was named: in the folder that a zip file made, or
beside a project's other folders."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from swinkit.errors import DataError, one_line
from swinkit.images.sources import is_image_name, walk_images

logger = logging.getLogger(__name__)

MOST_ENTRIES = 20_000  # files and folders that are looked at: data sets have millions
MOST_FOLDERS = 20  # that are asked what they hold
DEEPEST = 4  # levels below the named folder
ANNOTATIONS = frozenset({".json", ".xml", ".yaml", ".yml", ".data", ".csv"})

Recognize = Callable[[Path], str | None]
"""What a folder holds, in words; None where that is nothing known."""


def annotated_below(root: Path, recognize: Recognize) -> dict[Path, str]:
    """The outermost folders below `root` that hold annotations, and what they hold."""
    found: dict[Path, str] = {}
    asked: dict[Path, str | None] = {}
    for folder in _with_annotations(root):
        if len(asked) > MOST_FOLDERS:
            break
        levels = [folder, *folder.parents]
        for level in reversed(levels[: levels.index(root)]):  # the outermost first
            if level not in asked:
                asked[level] = _ask(recognize, level)
            if (what := asked[level]) is not None:
                found[level] = what
                break
    return found


def sole_below(root: Path, recognize: Recognize) -> dict[Path, str]:
    """The first known folder down the way on which each folder has one folder with images, and
    no images of its own."""
    folder = root
    for _ in range(DEEPEST):
        inner = [child for child in _subfolders(folder) if walk_images(child)]
        if len(inner) != 1 or any(is_image_name(name) for name in os.listdir(folder)):
            break
        folder = inner[0]
        if (what := _ask(recognize, folder)) is not None:
            return {folder: what}
    return {}


def tell(where: Path, deeper: dict[Path, str], *, useless: bool) -> None:
    """Say once where a folder's data sets lie.

    Raises:
        DataError: the folder itself is of no use.
    """
    first, *others = [f"{folder} ({what})" for folder, what in deeper.items()]
    more = f" and {len(others)} more" if len(others) > 1 else "".join(f" and {o}" for o in others)
    if useless:
        raise DataError(f"{where}: its data set lies deeper, in {first}{more}; name that folder")
    _warn(f"{where}: taken for folders of classes; to use {first}{more}, name that folder")


@lru_cache(maxsize=1000)  # once for each folder
def _warn(line: str) -> None:
    logger.warning("%s", one_line(line))


def _with_annotations(root: Path) -> Iterator[Path]:
    """Folders below `root` with files of the kinds that annotations have."""
    seen = 0
    for name, folders, files in os.walk(root):
        folder = Path(name)
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            return
        folders[:] = sorted(inner for inner in folders if inner[0] not in "._")
        if len(folder.relative_to(root).parts) >= DEEPEST:
            folders.clear()
        if folder != root and any(
            os.path.splitext(file)[1].lower() in ANNOTATIONS for file in files
        ):
            yield folder


def _ask(recognize: Recognize, folder: Path) -> str | None:
    try:
        return recognize(folder)
    except DataError:  # something, but nothing that can be used
        return None


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and child.name[0] not in "._"
    )
