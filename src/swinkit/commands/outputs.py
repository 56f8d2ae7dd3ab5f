"""What `swinkit predict` writes: JSON and CSV as results come, a table of the first ones."""

import contextlib
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from swinkit.console import table
from swinkit.files import atomic_write
from swinkit.task.format import ResultFormat

STANDARD_OUTPUT = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
MOST_ROWS = 1000  # of the table; nobody reads more, and memory stays flat


def is_standard_output(path: Path | None) -> bool:
    """Whether a file's name means what the command prints."""
    return str(path) in STANDARD_OUTPUT


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[TextIO | None]:
    """A text file to write, which is there once all of it is; None for no path.

    Text for standard output is printed at the end, so that a command that fails prints no half.
    What stands for the bytes of names that are not UTF-8 becomes escapes, which JSON reads back.

    Raises:
        SwinkitError: the system refuses the file; at once where it can.
    """
    kind: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    if path is None:
        yield None
    elif is_standard_output(path):
        with tempfile.TemporaryFile("w+", **kind) as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout)
    else:
        with atomic_write(path) as temporary, temporary.open("w", **kind) as file:
            yield file


class ResultWriter:
    """Writes results one by one and keeps none but the first rows of the table.

    Args:
        format_: how the task writes its results.
        json_file, csv_file: open files; None: not wanted.
    """

    def __init__(
        self, format_: ResultFormat[Any], json_file: TextIO | None, csv_file: TextIO | None
    ) -> None:
        self.images = 0
        self._format = format_
        self._json = json_file
        self._entries = 0
        self._cells: list[list[str]] = []
        self._csv = None if csv_file is None else csv.writer(csv_file)
        if self._csv is not None:
            self._csv.writerow(("source", *format_.columns))

    def add(self, result: Any) -> None:
        """Write one result."""
        source = result.source or ""
        self.images += 1
        if self._json is not None:
            for entry in self._format.entries(result):
                # As json.dumps writes a whole list with an indent of 1.
                text = json.dumps(entry, ensure_ascii=False, indent=1).replace("\n", "\n ")
                self._json.write((",\n " if self._entries else "[\n ") + text)
                self._entries += 1
        if self._csv is not None:
            self._csv.writerows((source, *row) for row in self._format.rows(result))
        if self.images <= MOST_ROWS:
            self._cells.append([source, *self._format.cells(result)])

    def finish(self) -> None:
        """Close the list of the JSON file."""
        if self._json is not None:
            self._json.write("\n]\n" if self._entries else "[]\n")

    def print_table(self) -> None:
        """The first rows on the terminal, and how many more there are."""
        heading = self._format.heading
        numbers = [place for place, name in enumerate(heading, start=1) if name == "%"]
        console = Console()
        console.print(table(("image", *heading), self._cells, numbers=numbers))
        if self.images > MOST_ROWS:
            console.print(f"and {self.images - MOST_ROWS} more images: --csv or --json writes all")


class PictureNames:
    """Where each picture is written: its image's name and folders, numbered where taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._copies: dict[str, int] = {}

    def of(self, name: str) -> Path:
        """The next free name with the suffix .png."""
        stem = str(Path(name).with_suffix(""))
        free = stem
        while free in self._taken:
            self._copies[stem] = self._copies.get(stem, 1) + 1
            free = f"{stem}-{self._copies[stem]}"
        self._taken.add(free)
        return Path(f"{free}.png")
