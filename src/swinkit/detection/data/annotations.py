"""What the readers of COCO, VOC and YOLO files share: images and objects as they stand there, and
where the image files lie. N objects.

Checking them against the images is the same for all three; see samples.py.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.detection.data.rle import Segment
from swinkit.settings import SizeHW

AnnotationKind = Literal["coco", "voc", "yolo"]


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """An image that a file names.

    Attributes:
        path: the image file, or None where none was found.
        image_id: the file's number for it, or None.
        size_hw: the size that the file states, or None.
        where: how messages name it.
    """

    path: Path | None
    image_id: int | None
    size_hw: SizeHW | None
    where: str


@dataclass(frozen=True, kw_only=True)
class RawObjects:
    """Objects by columns.

    Attributes:
        images: (N,) int64, index of each object's image.
        boxes_xyxy: (N, 4) float64, unchecked; in parts of the image where `normalized`.
        names: (N,) int64, index into the `class_names` of the split.
        is_crowd: (N,) bool.
        areas: (N,) float64; NaN where unknown.
        segments: an outline or None for each; None where the file has no outlines at all.
        broken: rows whose outline cannot be used, with the reason.
        name_object: how messages name object i.
        normalized: whether boxes and polygons run from 0 to 1.
    """

    images: np.ndarray
    boxes_xyxy: np.ndarray
    names: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    segments: list[Segment | None] | None
    broken: dict[int, str] = field(default_factory=dict)
    name_object: Callable[[int], str]
    normalized: bool = False


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """The images and objects of one split; "all" where the files name no split.

    Attributes:
        class_names: names that `objects.names` points to.
        category_ids: the files' numbers for them.
    """

    images: list[RawImage]
    objects: RawObjects
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AnnotationFiles:
    """The annotation files of a recognized data set.

    Attributes:
        kind: how they are written.
        read: the images and objects of each split; what cannot be read is recorded.
        notes: remarks on which files were taken.
    """

    kind: AnnotationKind
    read: Callable[[Problems], dict[str, RawSplit]]
    notes: tuple[str, ...] = ()


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name tells: instances_train2017 is train."""
    words = re.split(r"[^a-z]+", name.lower())
    splits = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    if "minival" in words:
        splits.add("val")
    if "trainval" in words:
        splits.add("train")
    return splits.pop() if len(splits) == 1 else None


def subfolders(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    return sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")


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
