"""Pascal VOC annotation files: one XML a picture. N objects."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.image_files import ImageFinder
from swinkit.detection.data.raw import RawImage, RawObjects, RawSplit
from swinkit.errors import DataError

LARGEST = 2**31  # pixels; numbers beyond, and NaN, are none
BESIDE = ("JPEGImages", "images")  # folders of images beside a folder of XML files
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, kw_only=True)
class VocLayout:
    """Where a VOC data set has its files.

    Attributes:
        annotations: XML files by split; "all" where no list names a split.
        image_folders: where their images may lie, likeliest first.
    """

    annotations: dict[str, list[Path]]
    image_folders: tuple[Path, ...]


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


def read_voc(layout: VocLayout, problems: Problems) -> dict[str, RawSplit]:
    """Read every XML file; what cannot be read is recorded and left out.

    Boxes are taken as they stand, xmin ymin xmax ymax without a shift by one pixel: today's tools
    write edges, and for files that count pixels from 1 the difference is one pixel at the top
    left. Objects marked difficult are neither found nor missed, as in the VOC challenge.

    Raises:
        DataError: no object in any file.
    """
    parents = {file.parent for files in layout.annotations.values() for file in files}
    # Splits may use the same names, so what lies near an XML file comes first.
    finders = {
        parent: ImageFinder(
            [parent, *(parent.parent / name for name in BESIDE), *layout.image_folders]
        )
        for parent in parents
    }
    pages: dict[str, list[_Page]] = {}
    for split, files in layout.annotations.items():
        read = (_read_page(file, finders[file.parent], problems) for file in files)
        pages[split] = [page for page in read if page is not None]
    names = sorted({item.name for p in pages.values() for page in p for item in page.objects})
    if not names:
        found = sum(len(files) for files in layout.annotations.values())
        raise DataError(f"{layout.image_folders[0].parent}: no object in {found} VOC xml files")
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
