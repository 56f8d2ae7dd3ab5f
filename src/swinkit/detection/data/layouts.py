"""What formats are recognized by: names of splits, heads of files, folders."""

import re
from pathlib import Path

from swinkit.data.splits import SPLIT_ALIASES
from swinkit.errors import DataError
from swinkit.parsing import reason_of

HEAD_BYTES = 4096


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name tells: instances_train2017 is train."""
    words = re.split(r"[^a-z]+", name.lower())
    splits = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    if "minival" in words:
        splits.add("val")
    if "trainval" in words:
        splits.add("train")
    return splits.pop() if len(splits) == 1 else None


def head_of(file: Path) -> bytes:
    """The first bytes of a file, to find out what it is; none where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(HEAD_BYTES).replace(b"\0", b"")  # UTF-16 looks like UTF-8 then
    except OSError:
        return b""


def subfolders(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones. Raises DataError: not readable."""
    try:
        return sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}; check the folder") from error
