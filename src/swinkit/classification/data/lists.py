"""CSV lists of images: one file with columns path, label and perhaps split, or one file a split."""

import csv
from pathlib import Path

from swinkit.classification.data.folders import Found
from swinkit.classification.data.samples import Labelled
from swinkit.data.splitting import SPLIT_ALIASES, SPLIT_NAMES
from swinkit.errors import DataError

COLUMNS = ("path", "label", "split")


def read_lists(path: Path) -> Found:
    """Images by split ("all" where the file names none). Relative paths start at the CSV's folder.

    Raises:
        DataError: no such file, missing columns, an empty or unknown entry (with its line), or an
            image listed twice under different labels or splits.
    """
    if path.is_dir():
        return _join([_read(file, name) for name, file in list_files(path).items()], path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    return _join([_read(path, None)], path)


def list_files(folder: Path) -> dict[str, Path]:
    """The CSV files of a folder that are splits, under "train", "val", "test".

    Raises:
        DataError: two files for one split, or no train.csv beside the others.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = SPLIT_ALIASES.get(file.stem.lower())
        if name is None or file.suffix.lower() != ".csv" or not file.is_file():
            continue
        if name in found:
            raise DataError(
                f"{folder}: {found[name].name} and {file.name} both mean the {name} split; "
                "rename or remove one"
            )
        found[name] = file
    if "train" not in found:
        raise DataError(f"{folder}: no train.csv in this folder; add it, or name one CSV file")
    return {name: found[name] for name in SPLIT_NAMES if name in found}


Row = tuple[Path, str, str]  # image, class, split


def _read(file: Path, split: str | None) -> list[Row]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check it") from error
    lines = text.splitlines()
    if not lines:
        raise DataError(f"{file}: is empty; expected a header line with path,label")
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    header = [cell.strip().lower() for cell in next(reader)]
    missing = [name for name in COLUMNS[:2] if name not in header]
    if missing:
        raise DataError(
            f"{file}: no column {' and '.join(missing)} in its header {','.join(header)!r}; "
            "expected path,label or path,label,split"
        )
    places = {name: header.index(name) for name in COLUMNS if name in header}
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        rows.append(_row(cells, places, split, file, reader.line_num))
    return rows


def _row(cells: list[str], places: dict[str, int], split: str | None, file: Path, line: int) -> Row:
    values = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()
    }
    empty = [name for name, value in values.items() if not value]
    if empty:
        raise DataError(f"{file}, line {line}: {' and '.join(empty)} is empty; fill it in")
    if split is None:
        named = values.get("split", "all")
        split = "all" if "split" not in values else SPLIT_ALIASES.get(named.lower())
        if split is None:
            raise DataError(f"{file}, line {line}: split is {named!r}; use train, val or test")
    image = Path(values["path"]).expanduser()
    return (image if image.is_absolute() else file.parent / image), values["label"], split


def _join(parts: list[list[Row]], path: Path) -> Found:
    seen: dict[Path, tuple[str, str]] = {}
    found: dict[str, list[Labelled]] = {}
    for image, label, split in (row for part in parts for row in part):
        before = seen.setdefault(image, (label, split))
        if before != (label, split):
            what = "labels" if before[0] != label else "splits"
            values = (before[0], label) if before[0] != label else (before[1], split)
            raise DataError(
                f"{path}: {image} is listed with two {what}, {values[0]} and {values[1]}; keep one"
            )
        found.setdefault(split, []).append((image, label))
    if not seen:
        raise DataError(f"{path}: lists no images; add lines below its header")
    total = sum(len(images) for images in found.values())
    unique = {split: sorted(set(images)) for split, images in found.items()}
    notes = []
    if total > len(seen):
        notes.append(f"{path}: {total - len(seen)} repeated lines were left out")
    return unique, notes
