"""Which kind of detection data set lies in a folder, found by looking."""

import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swinkit.data.splitting import SPLIT_ALIASES, name_some
from swinkit.detection.data.voc import VocLayout
from swinkit.detection.data.yolo import YoloLayout
from swinkit.detection.data.yolo_layout import find_yolo
from swinkit.errors import DataError

DetectionKind = Literal["coco", "voc", "yolo"]
COCO_KEYS = (b'"images"', b'"annotations"', b'"categories"')
OTHER_COCO_FILES = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")
VOC_LISTS = ("train", "val", "test", "trainval")
LOOKED_FOR = (
    "COCO (annotations/*.json, *.json, or train/*.json, with images, annotations and categories), "
    "Pascal VOC (Annotations/*.xml), YOLO (data.yaml with names and train, or labels/*.txt beside "
    "images)"
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A recognised data set.

    Attributes:
        kind: how its annotations are written.
        coco: annotation files by split, for "coco"; "all" where no name tells a split.
        voc, yolo: the files of those kinds.
        notes: what a person should know about the choice.
    """

    kind: DetectionKind
    coco: dict[str, Path] | None = None
    voc: VocLayout | None = None
    yolo: YoloLayout | None = None
    notes: tuple[str, ...] = ()


def find_layout(path: Path, kind: str = "auto") -> Layout | None:
    """The detection data set at `path`; None where there is none.

    Where several kinds of annotation lie side by side, COCO comes first, then YOLO, then VOC; a
    note names what was passed over.

    Args:
        path: a folder, a COCO .json file, or a YOLO .yaml file.
        kind: "auto", or the one kind to look for.

    Raises:
        DataError: files that contradict each other, such as two for one split.
    """
    finders: dict[DetectionKind, Callable[[Path], Layout | None]] = {
        "coco": _find_coco,
        "yolo": _find_yolo,
        "voc": _find_voc,
    }
    found = [
        layout
        for name, find in finders.items()
        if kind in ("auto", name) and (layout := find(path)) is not None
    ]
    if not found:
        return None
    first = found[0]
    others = " and ".join(layout.kind for layout in found[1:])
    notes = first.notes
    if others:
        notes = (*notes, f"{path}: holds {first.kind} and {others}; {first.kind} was read")
    return Layout(kind=first.kind, coco=first.coco, voc=first.voc, yolo=first.yolo, notes=notes)


def require_layout(path: Path, kind: str = "auto") -> Layout:
    """`find_layout`, where there must be one.

    Raises:
        DataError: nothing there, or no detection data set in it; says what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    layout = find_layout(path, kind)
    if layout is None:
        wanted = "detection data" if kind == "auto" else f"{kind} data"
        raise DataError(f"{path}: no {wanted} found; looked for {LOOKED_FOR}")
    return layout


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name tells: instances_train2017 is train."""
    words = re.split(r"[^a-z]+", name.lower())
    splits = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    if "minival" in words:
        splits.add("val")
    if "trainval" in words:
        splits.add("train")
    return splits.pop() if len(splits) == 1 else None


def _find_coco(path: Path) -> Layout | None:
    if path.is_file():
        return Layout(kind="coco", coco={"all": path}) if _is_coco(path) else None
    by_folder = {
        split: sorted(folder.glob("*.json"))
        for folder in _folders(path)
        if (split := split_of(folder.name))
    }
    for files in ([*path.glob("annotations/*.json")], [*path.glob("*.json")]):
        sound = [file for file in sorted(files) if _is_coco(file)]
        if sound:
            return Layout(kind="coco", coco=_by_split(path, sound))
    found = {
        split: sound
        for split, files in by_folder.items()
        if (sound := [file for file in files if _is_coco(file)])
    }
    if not found:
        return None
    for split, files in found.items():
        if len(files) > 1:
            raise DataError(
                f"{path}: {name_some([file.name for file in files])} all hold the {split} split; "
                "keep one"
            )
    return Layout(kind="coco", coco={split: files[0] for split, files in found.items()})


def _by_split(path: Path, files: list[Path]) -> dict[str, Path]:
    boxes = [file for file in files if not file.stem.lower().startswith(OTHER_COCO_FILES)]
    files = boxes or files
    if len(files) == 1 and split_of(files[0].stem) in (None, "train"):
        return {split_of(files[0].stem) or "all": files[0]}
    found: dict[str, Path] = {}
    for file in files:
        split = split_of(file.stem)
        if split is None or split in found:
            other = found.get(split or "")
            what = (
                f"{file.name} and {other.name} are both {split}"
                if other
                else (f"the name of {file.name} tells no split")
            )
            raise DataError(
                f"{file.parent}: {what}, among {name_some([f.name for f in files])}; name one "
                "json file, or rename to train.json, val.json, test.json"
            )
        found[split] = file
    return found


def _is_coco(file: Path) -> bool:
    """Whether the three keys stand somewhere in the file; a file need not be parsed for that."""
    if file.suffix.lower() != ".json" or file.stat().st_size == 0:
        return False
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        return all(text.find(key) >= 0 for key in COCO_KEYS)


def _find_yolo(path: Path) -> Layout | None:
    layout = find_yolo(path)
    return None if layout is None else Layout(kind="yolo", yolo=layout, notes=layout.notes)


def _find_voc(path: Path) -> Layout | None:
    if path.is_file():
        return None
    root = _voc_root(path)
    folder = next((f for f in _folders(root) if f.name.lower() == "annotations"), None)
    if folder is not None and (files := sorted(folder.glob("*.xml"))):
        images = tuple(root / name for name in ("JPEGImages", "images", "Images", "."))
        annotations, notes = _voc_lists(root, folder, files)
        return Layout(
            kind="voc", voc=VocLayout(annotations=annotations, image_folders=images), notes=notes
        )
    parts = {split: folder for folder in _folders(root) if (split := split_of(folder.name))}
    listed = {split: sorted(folder.rglob("*.xml")) for split, folder in parts.items()}
    annotations = {split: files for split, files in listed.items() if files}
    if not annotations and (files := sorted(root.glob("*.xml"))):
        annotations = {"all": files}
    if not annotations:
        return None
    bases = [*parts.values(), root]
    images = tuple(base / name for base in bases for name in ("images", "JPEGImages", "."))
    return Layout(kind="voc", voc=VocLayout(annotations=annotations, image_folders=images))


def _voc_root(path: Path) -> Path:
    """The folder with Annotations: `path`, or the one VOC year below it."""
    base = path / "VOCdevkit" if (path / "VOCdevkit").is_dir() else path
    years = [f for f in _folders(base) if re.fullmatch(r"VOC\d{4}", f.name)]
    if len(years) > 1:
        raise DataError(
            f"{base}: holds {name_some([year.name for year in years])}; name one of these folders"
        )
    return years[0] if years else path


def _voc_lists(
    root: Path, folder: Path, files: list[Path]
) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    lists = {name: root / "ImageSets" / "Main" / f"{name}.txt" for name in VOC_LISTS}
    stems = {
        name: [
            line.split()[0]
            for line in text.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        for name, text in lists.items()
        if text.is_file()
    }
    if stems.get("train"):
        stems.pop("trainval", None)
    elif "trainval" in stems:
        stems["train"] = stems.pop("trainval")
    found = {name: [folder / f"{stem}.xml" for stem in listed] for name, listed in stems.items()}
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        return {"all": files}, ()
    unlisted = len(set(files) - {path for paths in found.values() for path in paths})
    note = f"{root}: {unlisted} xml files that no list in ImageSets/Main names were left out"
    return found, (note,) if unlisted else ()


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
