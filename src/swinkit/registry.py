"""Which task a data set is for, found by looking. Importing this needs no PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swinkit.classification.data.folders import read_folders
from swinkit.classification.data.lists import list_files
from swinkit.data.splitting import SPLIT_ALIASES
from swinkit.detection.data.layouts import LOOKED_FOR as DETECTION_LAYOUTS
from swinkit.detection.data.layouts import find_layout
from swinkit.errors import DataError
from swinkit.segmentation.data.layouts import LOOKED_FOR as MASK_LAYOUTS
from swinkit.segmentation.data.layouts import looks_like_masks

TaskName = Literal["classification", "detection", "segmentation"]

CLASSIFICATION_KINDS = ("folders", "lists")
DETECTION_KINDS = ("coco", "voc", "yolo")


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a path holds.

    Attributes:
        task: what such data trains.
        kind: how it is written; a value of `DataConfig.kind`.
        notes: what a person should know about the choice.
    """

    task: TaskName
    kind: str
    notes: tuple[str, ...] = ()


def recognise(path: str | Path, kind: str = "auto") -> Recognised:
    """The task of a data set.

    Boxes come first, then scenes, then classes: the folders of a detection or segmentation data
    set could be taken for classes, not the other way round.

    Args:
        path: a folder, or a .json, .yaml or .csv file.
        kind: "auto", or how the data is written, where that is known.

    Raises:
        DataError: nothing there, or nothing that any task can use; says what was looked for.
    """
    where = Path(path).expanduser()
    if not where.exists():
        raise DataError(f"{where}: no such file or folder; check the path")
    if kind in CLASSIFICATION_KINDS:
        return Recognised(task="classification", kind=kind)
    if kind in DETECTION_KINDS:
        return Recognised(task="detection", kind=kind)
    if kind == "masks":
        return Recognised(task="segmentation", kind=kind)
    layout = find_layout(where)
    if layout is not None:
        return Recognised(task="detection", kind=layout.kind, notes=layout.notes)
    if looks_like_masks(where):
        return Recognised(task="segmentation", kind="masks")
    if where.suffix.lower() == ".csv" or (where.is_dir() and _has_train_list(where)):
        return Recognised(task="classification", kind="lists")
    if where.is_dir():
        try:
            read_folders(where)
        except DataError as error:
            raise DataError(
                f"{where}: no data set recognised; looked for {DETECTION_LAYOUTS}, {MASK_LAYOUTS}, "
                f"and for classes ({str(error).removeprefix(f'{where}: ')})"
            ) from error
        return Recognised(task="classification", kind="folders")
    raise DataError(
        f"{where}: no data set recognised; looked for {DETECTION_LAYOUTS}, a .csv list, or a "
        "folder of class folders"
    )


def _has_train_list(folder: Path) -> bool:
    lists = [file for file in folder.glob("*.csv") if SPLIT_ALIASES.get(file.stem.lower())]
    return bool(lists) and "train" in list_files(folder)
