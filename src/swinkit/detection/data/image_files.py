"""Finding the image files that annotation files name."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


class ImageFinder:
    """Looks a file name up in several folders, the first that has it wins.

    Each folder is listed once, so a hundred thousand names take no file system calls of their own.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._listed: dict[Path, set[str]] = {}

    def find(self, name: str) -> Path | None:
        """The file for a name with `/` or `\\` between its parts; None where there is none.

        A name with folders that do not exist here, as tools on other machines write them, is
        looked up by its last parts.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for skipped in range(len(parts)):
            rest = parts[skipped:]
            for folder in self.folders:
                if self._has(folder.joinpath(*rest[:-1]), rest[-1]):
                    return folder.joinpath(*rest)
        return None

    def described(self) -> str:
        """The folders searched, for messages."""
        return ", ".join(str(folder) for folder in self.folders) or "no existing folder"

    def _has(self, folder: Path, name: str) -> bool:
        if folder not in self._listed:
            try:
                self._listed[folder] = set(os.listdir(folder))
            except OSError:  # no such folder: nothing in it
                self._listed[folder] = set()
        return name in self._listed[folder]


def image_folders(annotation: Path, split_words: Iterable[str]) -> list[Path]:
    """Folders in which the images of an annotation file usually lie, likeliest first.

    Args:
        annotation: the file; its folder, and the one above, are searched.
        split_words: names that the folder of its split may have, such as train or train2017.
    """
    words = list(split_words)
    found: list[Path] = []
    for root in (annotation.parent.parent, annotation.parent):
        for base in (root / "images", root / "JPEGImages", root):
            found += [base / word for word in words]
            found.append(base)
    return found
