"""Pascal VOC annotation files: one XML a picture. N objects."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problems
from swinkit.data.splits import name_some
from swinkit.detection.data.annotations import (
    AnnotationFiles,
    ImageFinder,
    RawImage,
    RawObjects,
    RawSplit,
    split_of,
    subfolders,
)
from swinkit.errors import DataError

LARGEST = 2**31  # pixels; numbers beyond, and NaN, are none
BESIDE = ("JPEGImages", "images")  # folders of images beside a folder of XML files
LISTS = ("train", "val", "test", "trainval")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Object:
    name: str
    box_xyxy: tuple[float, ...]
    difficult: bool
    place: int


@dataclass(frozen=True)
class _Page:
    image: RawImage
    objects: list[_Object]
    file: Path


def find_voc(path: Path) -> AnnotationFiles | None:
    """The XML files of a Pascal VOC data set, by the lists in ImageSets/Main or by folders.

    Raises:
        DataError: several years of VOC side by side.
    """
    if path.is_file():
        return None
    root = _voc_root(path)
    folder = next((f for f in subfolders(root) if f.name.lower() == "annotations"), None)
    if folder is not None and (files := sorted(folder.glob("*.xml"))):
        images = tuple(root / name for name in ("JPEGImages", "images", "Images", "."))
        annotations, notes = _voc_lists(root, folder, files)
        return AnnotationFiles(kind="voc", read=partial(read_voc, annotations, images), notes=notes)
    parts = {split: folder for folder in subfolders(root) if (split := split_of(folder.name))}
    listed = {split: sorted(folder.rglob("*.xml")) for split, folder in parts.items()}
    annotations = {split: files for split, files in listed.items() if files}
    if not annotations and (files := sorted(root.glob("*.xml"))):
        annotations = {"all": files}
    if not annotations:
        return None
    bases = [*parts.values(), root]
    images = tuple(base / name for base in bases for name in ("images", "JPEGImages", "."))
    return AnnotationFiles(kind="voc", read=partial(read_voc, annotations, images))


def _voc_root(path: Path) -> Path:
    """The folder with Annotations: `path`, or the one VOC year below it."""
    base = path / "VOCdevkit" if (path / "VOCdevkit").is_dir() else path
    years = [f for f in subfolders(base) if re.fullmatch(r"VOC\d{4}", f.name)]
    if len(years) > 1:
        raise DataError(
            f"{base}: holds {name_some([year.name for year in years])}; name one of these folders"
        )
    return years[0] if years else path


def _voc_lists(
    root: Path, folder: Path, files: list[Path]
) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    lists = {name: root / "ImageSets" / "Main" / f"{name}.txt" for name in LISTS}
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


def read_voc(
    annotations: dict[str, list[Path]], image_folders: tuple[Path, ...], problems: Problems
) -> dict[str, RawSplit]:
    """Read every XML file; what cannot be read is recorded and left out.

    Boxes are taken as they stand, xmin ymin xmax ymax without a shift by one pixel: today's tools
    write edges, and for files that count pixels from 1 the difference is one pixel at the top
    left. Objects marked difficult are neither found nor missed, as in the VOC challenge.

    Args:
        annotations: XML files by split; "all" where no list names a split.
        image_folders: where their images may lie, likeliest first.
        problems: takes the entries that cannot be used.

    Raises:
        DataError: no object in any file.
    """
    parents = {file.parent for files in annotations.values() for file in files}
    # Splits may use the same names, so what lies near an XML file comes first.
    finders = {
        parent: ImageFinder([parent, *(parent.parent / name for name in BESIDE), *image_folders])
        for parent in parents
    }
    pages: dict[str, list[_Page]] = {}
    for split, files in annotations.items():
        read = (_read_page(file, finders[file.parent], problems) for file in files)
        pages[split] = [page for page in read if page is not None]
    names = sorted({item.name for p in pages.values() for page in p for item in page.objects})
    if not names:
        found = sum(len(files) for files in annotations.values())
        raise DataError(f"{image_folders[0].parent}: no object in {found} VOC xml files")
    return {split: _table(listed, names) for split, listed in pages.items()}


def _read_page(file: Path, finder: ImageFinder, problems: Problems) -> _Page | None:
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as error:
        problems.add("unreadable entry", file, f"{error.strerror}: its image is left out")
        return None
    except (ElementTree.ParseError, ValueError) as error:
        problems.add("unreadable entry", file, f"not XML ({error}): its image is left out")
        return None
    if root.tag != "annotation":
        problems.add("unreadable entry", file, f"is <{root.tag}>, not <annotation>: left out")
        return None
    height, width = (_number(root.findtext(f"size/{side}")) for side in ("height", "width"))
    known = height is not None and width is not None and min(height, width) >= 1
    image = RawImage(
        path=_find(root.findtext("filename"), file, finder),
        image_id=None,
        size_hw=(int(height), int(width)) if known and height and width else None,
        where=f"{file} (looked in {finder.described()})",
    )
    objects = []
    for place, entry in enumerate(root.findall("object"), start=1):
        name = (entry.findtext("name") or "").strip()
        corners = tuple(_number(entry.findtext(f"bndbox/{corner}")) for corner in CORNERS)
        if not name or None in corners:
            what = "no name" if not name else "no box of four numbers"
            problems.add("unreadable entry", f"{file}, object {place}", f"{what}: left out")
            continue
        box = tuple(corner for corner in corners if corner is not None)
        difficult = (entry.findtext("difficult") or "0").strip() == "1"
        objects.append(_Object(name, box, difficult, place))
    return _Page(image, objects, file)


def _find(named: str | None, file: Path, finder: ImageFinder) -> Path | None:
    """The image by the name inside the file, else by the file's own name."""
    if named and named.strip():
        found = finder.find(named.strip())
        if found is not None:
            return found
    names = (file.stem + suffix for suffix in (".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".tif"))
    return next((found for name in names if (found := finder.find(name)) is not None), None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
        return value if value is not None and abs(value) < LARGEST else None
    except ValueError:  # the caller reports the entry
        return None


def _table(pages: list[_Page], names: list[str]) -> RawSplit:
    index = {name: place for place, name in enumerate(names)}
    rows = [(image, item) for image, page in enumerate(pages) for item in page.objects]
    labels = [f"{pages[image].file}, object {item.place} ({item.name})" for image, item in rows]
    return RawSplit(
        images=[page.image for page in pages],
        objects=RawObjects(
            images=np.array([image for image, _ in rows], np.int64),
            boxes_xyxy=np.array([item.box_xyxy for _, item in rows], np.float64).reshape(-1, 4),
            names=np.array([index[item.name] for _, item in rows], np.int64),
            is_crowd=np.array([item.difficult for _, item in rows], bool),
            areas=np.full(len(rows), np.nan),
            segments=None,
            name_object=labels.__getitem__,
        ),
        class_names=tuple(names),
        category_ids=tuple(range(1, len(names) + 1)),
    )
