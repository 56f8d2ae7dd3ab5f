"""CSV files with a row for each box, as TensorFlow's tools, Roboflow, VoTT and Kaggle have."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from swinkit.data.problems import Problems
from swinkit.data.splits import SPLIT_ALIASES, name_some
from swinkit.detection.data.annotations import AnnotationFiles, Box, RawImage, RawObject, RawSplit
from swinkit.detection.data.image_lookup import ImageLookup, image_folders
from swinkit.detection.data.layouts import head_of, split_of, subfolders
from swinkit.detection.data.pages import RawPage, join_pages
from swinkit.detection.data.rle import is_number, is_side
from swinkit.errors import DataError
from swinkit.parsing import integer, number, parse_json, read_table, sequence, short

SUFFIXES = (".csv", ".tsv")
FOLDERS = ("data", "annotations", "annots", "labels", "csv")  # of tables, in that of the data set
# In the order of preference, in lower case.
IMAGES = (
    *("filename", "file_name", "image_path", "path", "image", "image_name", "img", "file"),
    *("image_id", "imageid", "id"),
)
CLASSES = ("class", "label", "class_name", "classname", "category", "category_name", "name")
SPLITS = ("split", "set", "subset")
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
SIDES = (  # left, top, width and height
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
LISTS = (("bbox",),)  # "[left, top, width, height]" in one cell
ONLY_CLASS = "object"  # where no column names one


class Columns(NamedTuple):
    """Names of the columns that are used; `box` holds the one of lists or four others."""

    image: str
    box: tuple[str, ...]
    has_sides: bool
    label: str | None
    split: str | None
    size_hw: tuple[str, str] | None


def find_tables(path: Path) -> AnnotationFiles | None:
    """The CSV files of boxes of a folder, of the folders of splits in it, or of its folder of
    annotations; the file itself where `path` is one. None where there are none.

    Raises:
        DataError: several of them, and no splits in their names.
    """
    if path.is_file():
        found = {"all": path} if path.suffix.lower() in SUFFIXES and _columns(path) else {}
        return _files(found)
    named = {split: child for child in subfolders(path) if (split := split_of(child.name))}
    within = {split: tables[0] for split, child in named.items() if (tables := _tables(child))}
    if "train" in within:
        return _files(within)
    for folder in (path, *(c for c in subfolders(path) if c.name.lower() in FOLDERS)):
        tables = _tables(folder)
        by_split = {split: file for file in tables if (split := split_of(file.stem))}
        if "train" in by_split:
            return _files(by_split)
        if len(tables) > 1:
            raise DataError(
                f"{folder}: {name_some([file.name for file in tables])} all list boxes; name one "
                "of them instead of the folder"
            )
        if tables:
            return _files({"all": tables[0]})
    return None


def _files(found: dict[str, Path]) -> AnnotationFiles | None:
    if not found:
        return None
    names = name_some([file.name for file in dict.fromkeys(found.values())])
    note = f"{next(iter(found.values())).parent}: a box was read from each row of {names}"
    return AnnotationFiles(kind="csv", read=partial(read_tables, found), notes=(note,))


def _tables(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    return [file for file in files if file.is_file() and _columns(file)]


def _columns(file: Path) -> Columns | None:
    """The columns of a table of boxes; None for any other."""
    lines = head_of(file).decode("utf-8-sig", "replace").lstrip("\r\n").splitlines()
    if lines and lines[0].lower().startswith("sep="):
        del lines[0]
    if not lines:
        return None
    cells = lines[0].split(max(",;\t", key=lines[0].count))
    names = {cell.strip().strip("\"'").strip().lower() for cell in cells}

    def first(wanted: tuple[str, ...]) -> str | None:
        return next((name for name in wanted if name in names), None)

    image = first(IMAGES)
    candidates: tuple[tuple[str, ...], ...] = (*CORNERS, *SIDES, *LISTS)
    box = next((columns for columns in candidates if names.issuperset(columns)), None)
    if image is None or box is None:
        return None
    has_size = names.issuperset(("height", "width")) and "width" not in box
    size = ("height", "width") if has_size else None
    return Columns(image, box, box not in CORNERS, first(CLASSES), first(SPLITS), size)


def read_tables(files: dict[str, Path], problems: Problems) -> dict[str, RawSplit]:
    """Read every row; what cannot be read is recorded and left out.

    A row without class and box is an image without objects. Boxes that all run from 0 to 1 are
    parts of their images.

    Args:
        files: tables by split; "all" where no name tells one. A column of splits decides then.
        problems: takes the rows that cannot be used.

    Raises:
        DataError: no box in any row.
    """
    pages: dict[str, dict[str, RawPage]] = {}
    for split, file in files.items():
        _read_table(file, split, pages, problems)
    read = [page for part in pages.values() for page in part.values()]
    boxes = [item.box_xyxy for page in read for _, item in page.objects]
    if not boxes:
        broken = f"; the first problem: {next(iter(problems))}" if len(problems) else ""
        raise DataError(f"{name_some(list(map(str, files.values())))}: no box in any row{broken}")
    splits = join_pages({split: list(part.values()) for split, part in pages.items()})
    if all(0 <= value <= 1 for box in boxes for value in box):
        return {
            split: replace(part, objects=replace(part.objects, normalized=True))
            for split, part in splits.items()
        }
    return splits


def _read_table(
    file: Path, split: str, pages: dict[str, dict[str, RawPage]], problems: Problems
) -> None:
    columns = _columns(file)
    if columns is None:  # it was one when it was found
        raise DataError(f"{file}: has no columns of boxes any more; write it anew")
    words = [word for word, target in SPLIT_ALIASES.items() if target == split]
    lookup = ImageLookup([*image_folders(file, words), *subfolders(file.parent)])
    for line, cells in read_table(file):
        where = f"{file}, line {line}"
        name = cells[columns.image]
        own = split
        if columns.split is not None and split == "all":
            own = SPLIT_ALIASES.get(cells[columns.split].lower(), "train")
        if not name:
            problems.add("unreadable entry", where, f"{columns.image} is empty: left out")
            continue
        page = pages.setdefault(own, {}).get(name)
        if page is None:
            page = RawPage(image=_image(name, cells, columns, where, lookup), objects=[])
            pages[own][name] = page
        found = _object(cells, columns, where)
        if isinstance(found, str):
            problems.add("unreadable entry", where, f"{found}: left out")
            pages[own][name] = replace(page, faulty=True)
        elif found is not None:
            page.objects.append(found)


def _image(
    name: str, cells: dict[str, str], columns: Columns, where: str, lookup: ImageLookup
) -> RawImage:
    height, width = (
        (None, None) if columns.size_hw is None else (integer(cells[c]) for c in columns.size_hw)
    )
    return RawImage(
        path=lookup.find(name) or lookup.find_stem(name),
        image_id=None,
        size_hw=(height, width) if height and width and is_side(height, width) else None,
        where=f"{name} ({where}; looked in {lookup.described()})",
    )


def _object(
    cells: dict[str, str], columns: Columns, where: str
) -> tuple[str, RawObject] | str | None:
    """The class and box of a row, None where it has neither, or which cell cannot be read."""
    name = ONLY_CLASS if columns.label is None else cells[columns.label]
    texts = [cells[column] for column in columns.box]
    if not any(texts):
        return None
    if not name:
        return f"{columns.label} is empty"
    if len(texts) == 1:
        try:
            texts = sequence(parse_json(texts[0], where))
        except DataError:
            texts = []
        if len(texts) != 4:
            return f"{columns.box[0]} is {short(cells[columns.box[0]])}, not [x, y, width, height]"
    values = [number(text) for text in texts]
    sound = [value for value in values if value is not None and is_number(value)]
    if len(sound) < 4:
        return f"the box is {short(', '.join(map(str, texts)))} ({name})"
    left, top, right, bottom = sound
    box: Box = (left, top, right, bottom)
    if columns.has_sides:
        box = (left, top, left + right, top + bottom)
    return name, RawObject(image=-1, label=-1, box_xyxy=box, where=f"{where} ({name})")
