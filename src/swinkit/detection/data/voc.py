"""Pascal VOC annotation files: one XML a picture. N objects."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from swinkit.data.problems import Problems
from swinkit.data.splits import name_some
from swinkit.detection.data.annotations import AnnotationFiles, RawImage, RawObject, RawSplit
from swinkit.detection.data.image_lookup import ImageLookup
from swinkit.detection.data.layouts import head_of, split_of, subfolders
from swinkit.detection.data.pages import RawPage, join_pages
from swinkit.detection.data.rle import is_number, is_side
from swinkit.errors import DataError
from swinkit.parsing import integer, number, read_lines, read_xml, short, truth

BESIDE = ("JPEGImages", "images")  # folders of images beside a folder of XML files
PAGE_FOLDERS = ("annotations", "annotation", "annots", "annot", "xml", "xmls", "labels", "label")
LISTS = ("train", "val", "test", "trainval")
PAGE = re.compile(rb"<annotation[\s/>]")
LOOKED_AT = 20  # files, to find out what they are
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_voc(path: Path) -> AnnotationFiles | None:
    """The XML files of a Pascal VOC data set, by the lists in ImageSets/Main or by folders.

    Raises:
        DataError: several years of VOC side by side.
    """
    if path.is_file():
        return None
    root = _voc_root(path)
    for folder in _page_folders(root):
        if not (files := _pages(folder.glob("*.xml"))):
            continue
        images = tuple(root / name for name in ("JPEGImages", "images", "Images", "."))
        annotations, notes = _voc_lists(root, folder, files)
        return AnnotationFiles(kind="voc", read=partial(read_voc, annotations, images), notes=notes)
    parts = {split: folder for folder in subfolders(root) if (split := split_of(folder.name))}
    listed = {split: _pages(folder.rglob("*.xml")) for split, folder in parts.items()}
    annotations = {split: files for split, files in listed.items() if files}
    if not annotations and (files := _pages(root.glob("*.xml"))):
        annotations = {"all": files}
    if not annotations:
        return None
    bases = [*parts.values(), root]
    images = tuple(base / name for base in bases for name in ("images", "JPEGImages", "."))
    return AnnotationFiles(kind="voc", read=partial(read_voc, annotations, images))


def _pages(found: Iterable[Path]) -> list[Path]:
    """The files, if they are pages of VOC: some of the first ones, for a broken one tells nothing.

    CVAT and others write XML too.
    """
    files = sorted(found)
    return files if any(PAGE.search(head_of(file)) for file in files[:LOOKED_AT]) else []


def _page_folders(root: Path) -> list[Path]:
    """The folders that may hold the pages of all splits, Pascal VOC's own name first."""
    named = [folder for folder in subfolders(root) if folder.name.lower() in PAGE_FOLDERS]
    return sorted(named, key=lambda folder: PAGE_FOLDERS.index(folder.name.lower()))


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
        name: [line.split()[0] for line in read_lines(text) if line]
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
        parent: ImageLookup([parent, *(parent.parent / name for name in BESIDE), *image_folders])
        for parent in parents
    }
    pages: dict[str, list[RawPage]] = {}
    for split, files in annotations.items():
        read = (_read_page(file, finders[file.parent], problems) for file in files)
        pages[split] = [page for page in read if page is not None]
    if not any(page.objects for listed in pages.values() for page in listed):
        found = sum(len(files) for files in annotations.values())
        broken = f"; the first problem: {next(iter(problems))}" if len(problems) else ""
        raise DataError(f"{image_folders[0].parent}: no object in {found} VOC xml files{broken}")
    return join_pages(pages)


def _read_page(file: Path, finder: ImageLookup, problems: Problems) -> RawPage | None:
    try:
        root = read_xml(file)
    except DataError as error:
        reason = str(error).removeprefix(str(file)).lstrip(" ,:")
        problems.add("unreadable entry", file, f"{reason}: its image is left out")
        return None
    if root.tag != "annotation":
        problems.add("unreadable entry", file, f"is <{root.tag}>, not <annotation>: left out")
        return None
    height, width = (integer(root.findtext(f"size/{side}")) for side in ("height", "width"))
    image = RawImage(
        path=finder.image_of(file, (root.findtext("filename") or "").strip(), problems),
        image_id=None,
        size_hw=(height, width) if height and width and is_side(height, width) else None,
        where=f"{file} (looked in {finder.described()})",
    )
    objects, faulty = [], False
    for place, entry in enumerate(root.findall("object"), start=1):
        found = _read_object(entry, f"{file}, object {place}")
        if isinstance(found, str):
            problems.add("unreadable entry", f"{file}, object {place}", f"{found}: left out")
            faulty = True
        else:
            objects.append(found)
    return RawPage(image=image, objects=objects, faulty=faulty)


def _read_object(entry: ElementTree.Element, where: str) -> tuple[str, RawObject] | str:
    """The class and box of an object, or which field cannot be read."""
    name = (entry.findtext("name") or "").strip()
    if not name:
        return "no name"
    if entry.find("bndbox") is None:
        has = ", ".join(sorted({child.tag for child in entry}))
        return f"no bndbox ({name} has {short(has)})"
    corners = []
    for corner in CORNERS:
        text = entry.findtext(f"bndbox/{corner}")
        value = number(text)
        if value is None or not is_number(value):
            return f"{corner} is {short(text)} ({name})"
        corners.append(value)
    left, top, right, bottom = corners
    return name, RawObject(
        image=-1,
        label=-1,
        box_xyxy=(left, top, right, bottom),
        where=f"{where} ({name})",
        is_crowd=bool(truth((entry.findtext("difficult") or "").strip())),
    )
