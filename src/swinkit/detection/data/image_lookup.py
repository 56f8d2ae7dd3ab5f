"""Where the image file lies that an annotation file names: on another machine, by a URL, with
letters or suffixes in another case, with what an upload put before its name."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote

from swinkit.data.problems import Problems
from swinkit.images.sources import is_image_name
from swinkit.parsing import short

UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # Label Studio writes this before the names of uploads


class ImageLookup:
    """Looks a file name up in several folders, the first that has it wins.

    Each folder is listed once, so a hundred thousand names take no file system calls of their own.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._listed: dict[Path, _Listing] = {}

    def find(self, name: str) -> Path | None:
        """The file for a name with `/` or `\\` between its parts; None where there is none.

        A name with folders that do not exist here, as tools on other machines write them, is
        looked up by its last parts. Names as they stand come first; then without the query of a
        URL and with `%20` as a space; then in any case; then with or without an upload's prefix.
        """
        for lookup in (_Listing.exact, _Listing.loose):
            for spelling in spellings(name):
                found = self._by_tail(spelling, lookup)
                if found is not None:
                    return found
        return None

    def find_stem(self, stem: str) -> Path | None:
        """The image of that name without its suffix, in the first folder that has one."""
        for folder in self.folders:
            named = self._listing(folder).stems.get(alike(stem))
            if named is not None:
                return folder / named
        return None

    def image_of(self, file: Path, named: str, problems: Problems) -> Path | None:
        """The image of an annotation file of its own: the one of the same name, else the one that
        is `named` in the file. Renamed files still name the image of before, so that comes second.
        """
        own = self.find_stem(file.stem)
        if own is None:
            return self.find(named) if named else None
        if named and alike(PurePosixPath(named.replace("\\", "/")).stem) != alike(file.stem):
            done = f"it names {short(named)}, but {own.name} has its own name and is taken"
            problems.add("other file name", file, done)
        return own

    def described(self) -> str:
        """The folders searched, for messages."""
        return ", ".join(str(folder) for folder in self.folders) or "no existing folder"

    def _by_tail(self, name: str, lookup: Callable[["_Listing", str], str | None]) -> Path | None:
        parts = PurePosixPath(name).parts
        for skipped in range(len(parts)):
            *folders, last = parts[skipped:]
            for folder in self.folders:
                base = folder.joinpath(*folders)
                named = lookup(self._listing(base), last)
                if named is not None:
                    return base / named
        return None

    def _listing(self, folder: Path) -> "_Listing":
        if folder not in self._listed:
            self._listed[folder] = _Listing(folder)
        return self._listed[folder]


class _Listing:
    """The names in one folder, as they are and made alike."""

    def __init__(self, folder: Path) -> None:
        try:
            self.names = set(os.listdir(folder))
        except (OSError, ValueError):  # no such folder, or no name of one: nothing in it
            self.names = set()
        self._alike: dict[str, str] | None = None
        self._stems: dict[str, str] | None = None

    def exact(self, name: str) -> str | None:
        return name if name in self.names else None

    def loose(self, name: str) -> str | None:
        """The one name that differs in case, in how accents are written, or by the prefix of an
        upload, which one of the two has and the other has not."""
        if self._alike is None:
            own = {name: alike(name) for name in self.names}
            cut = {n: match[1] for n, key in own.items() if (match := UPLOADED.fullmatch(key))}
            self._alike = _unambiguous(cut) | _unambiguous(own)
        key = alike(name)
        uploaded = UPLOADED.fullmatch(key)
        found = self._alike.get(key)
        if found is None and uploaded:
            found = self._alike.get(uploaded[1])
            # Two uploads of one name are two pictures.
            found = None if found is None or UPLOADED.fullmatch(alike(found)) else found
        return found

    @property
    def stems(self) -> dict[str, str]:
        """Names of images by their stems, where there is one."""
        if self._stems is None:
            images = {name: alike(Path(name).stem) for name in self.names if is_image_name(name)}
            self._stems = _unambiguous(images)
        return self._stems


def _unambiguous(keys: dict[str, str]) -> dict[str, str]:
    """Names by their keys, without keys that several names have."""
    counts = Counter(keys.values())
    return {key: name for name, key in keys.items() if counts[key] == 1}


def alike(name: str) -> str:
    """The same for names that only differ in case or in how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def spellings(name: str) -> Iterator[str]:
    """Ways to read a name: as it stands, as a URL or a quoted path, as a query for a path."""
    name = name.strip().replace("\\", "/")
    yield name
    path, _, query = name.partition("?")
    variants = [path, unquote(path)] if "%" in path else [path]
    # Label Studio serves files of its own disk as /data/local-files/?d=folder/name.jpg
    variants += [value for values in parse_qs(query).values() for value in values]
    yield from (variant for variant in variants if is_image_name(variant) and variant != name)


def image_folders(annotation: Path, split_words: Iterable[str]) -> list[Path]:
    """Folders in which the images of an annotation file usually lie, likeliest first.

    Args:
        annotation: the file; its folder, and the one above, are searched.
        split_words: names that the folder of its split may have, such as train or train2017.
    """
    words = list(split_words)
    found: list[Path] = []
    for root in (annotation.parent, annotation.parent.parent):
        own = _subfolder_names(root)
        bases = [root / own[key] for key in ("images", "jpegimages") if key in own]
        for base in (*bases, root):
            inner = own if base == root else _subfolder_names(base)
            found += [base / inner[word.casefold()] for word in words if word.casefold() in inner]
            found.append(base)
    return found


def _subfolder_names(folder: Path) -> dict[str, str]:
    try:
        return {entry.name.casefold(): entry.name for entry in os.scandir(folder) if entry.is_dir()}
    except OSError:
        return {}
