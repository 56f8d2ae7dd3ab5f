"""Which image files a path, a folder or a pattern means."""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from swinkit.errors import ImageError

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
IMAGE_SUFFIXES = HEIF_SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".webp", ".avif"}
    | {".jp2", ".tif", ".tiff", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".npy"}
)
# Files that hold pictures which are not read, and what to do about them.
RAW_SUFFIXES = frozenset(
    {".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2"}
    | {".raf", ".pef", ".srw", ".raw", ".x3f", ".3fr", ".erf", ".kdc", ".mos", ".mrw"}
)
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
PACKED_SUFFIXES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
DRAWN_SUFFIXES = frozenset({".svg", ".psd", ".xcf", ".ai", ".eps", ".pdf", ".kra"})
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
HIDDEN = "hidden files and those of the system"
NUMBERED = re.compile(r"([^0-9]*)([0-9]*)")


def is_image_name(name: str) -> bool:
    """Whether a file name has an image's suffix (any case) and is not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


Stream = str | Path | int  # a video, an address, or the number of a camera


def is_address(source: object) -> bool:
    """Whether it is the address of a picture; also one that will be refused."""
    return isinstance(source, str) and source.lower().startswith(("https://", "http://"))


def is_video(source: object) -> bool:
    """Whether a name says that it is a video."""
    named = isinstance(source, (str, Path)) and not is_address(source)
    return named and Path(str(source)).suffix.lower() in VIDEO_SUFFIXES


def is_stream(source: object) -> bool:
    """Whether it is a video, a camera's number or an address: what `read_stream` takes."""
    camera = isinstance(source, int) and not isinstance(source, bool)
    return camera or is_address(source) or is_video(source)


def find_images(source: str | Path) -> list[Path]:
    """The image files that `source` means, in natural order: frame2 before frame10.

    Args:
        source: a file (taken whatever its suffix), a folder (searched with its subfolders; files
            with other suffixes and hidden ones are left out), or a pattern such as
            `photos/**/*.jpg`.

    Raises:
        ImageError: nothing there, or no image among it.
    """
    path = Path(os.path.expanduser(source))
    if not str(source):
        raise ImageError("the name of an image is empty; name files, folders or patterns")
    if os.path.isdir(path):
        found = walk_images(path)
        if not found:
            raise ImageError(
                f"{path}: no images in this folder or below (looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}); name another folder"
                + "".join(f"; {note}" for note in passed_over(path))
            )
        return sorted(found, key=natural_order)
    if os.path.lexists(path):  # also a link to nothing: reading it says so, or skips it
        return [path]
    if not glob.has_magic(str(path)):
        raise ImageError(f"{path}: no such file or folder; check the path")
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    found = [match for match in matches if is_image_name(match.name) and not match.is_dir()]
    if not found:
        raise ImageError(f"{path}: no image matches this pattern; check it")
    return sorted(found, key=natural_order)


def names_below(sources: Sequence[str], images: Sequence[Path]) -> dict[str, str]:
    """The name of each image with its folders, from the one that all sources have in common.

    Args:
        sources: files, folders and patterns.
        images: what `find_images` found for them.

    Returns:
        Names such as "camera1/0000.jpg", with slashes, by path.
    """
    try:
        common = os.path.commonpath([_folder_of(source) for source in sources])
    except ValueError:  # on several drives
        common = os.sep
    start = os.path.join(common, "")
    names = {}
    for image in images:
        absolute = os.path.abspath(image)
        inside = absolute.startswith(start)
        names[str(image)] = Path(absolute[len(start) :] if inside else image.name).as_posix()
    return names


def _folder_of(source: str) -> str:
    """The folder itself, a file's, or the one from which a pattern searches."""
    path = os.path.abspath(os.path.expanduser(source))
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def natural_order(path: Path) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Sort key by which numbers within names count as numbers, folder by folder.

    Frames of a video come in the order of time, with or without leading zeros.
    """
    return tuple(
        # The name itself comes last, to decide between frame1 and frame01.
        (
            *((text.casefold(), int(digits or -1)) for text, digits in NUMBERED.findall(part)),
            (part, 0),
        )
        for part in path.parts
    )


def walk_images(folder: Path) -> list[Path]:
    """Every image below `folder`, sorted by path, whatever order the file system lists them in.

    Linked folders are followed, each real folder once; hidden folders and the `__MACOSX` folders
    of archives are left out.
    """
    return sorted(path for path in walk_files(folder) if is_image_name(path.name))


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in any order, as `walk_images` looks for images."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        yield from (Path(parent, name) for name in files)


def passed_over(folder: Path, used: Collection[Path] = ()) -> list[str]:
    """What lies below a folder and is no image by its name: a line for each kind of file.

    Args:
        folder: to search as `walk_images` does.
        used: files that have a use, such as lists of classes.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in walk_files(folder):
        if not is_image_name(path.name) and path not in used:
            found[_kind_of(path.name)].append(path.name)
    order = sorted(found, key=lambda kind: (kind == HIDDEN, -len(found[kind]), kind))
    return [f"passed over: {_counted(kind, sorted(found[kind]))}" for kind in order]


def _kind_of(name: str) -> str:
    """The kind of a file that is no image, and what to do about it."""
    stem, suffix = os.path.splitext(name.lower())
    if name.startswith(".") or name.lower() in SYSTEM_FILES:
        return HIDDEN
    if suffix in RAW_SUFFIXES:
        return "raw files of cameras: save them as JPEG to use them"
    if suffix in VIDEO_SUFFIXES:
        return "videos: name them one by one to predict, or save their frames as JPEG"
    if suffix in PACKED_SUFFIXES:
        return "archives: unpack them to use what is inside"
    if suffix in DRAWN_SUFFIXES:
        return f"{suffix} files: save them as PNG to use them"
    within = re.search(r"(\.[a-z0-9]+)[^a-z0-9.].*$|(\.[a-z0-9]+)\.[^.]*$", name.lower())
    if within and (within[1] or within[2]) in IMAGE_SUFFIXES:
        return "files with an image's suffix inside their names: rename them to end in it"
    return f"{suffix} files" if suffix and stem else "files without a suffix"


def _counted(kind: str, names: list[str], most: int = 3) -> str:
    what, _, advice = kind.partition(": ")
    more = f" and {len(names) - most} more" if len(names) > most else ""
    named = f"{', '.join(names[:most])}{more}"
    return f"{len(names)} {what} ({named})" + (f"; {advice}" if advice else "")


class ImageFinder:
    """Finds the files that lists name, however they spell the names.

    Lists come from other systems and folders: with backslashes, without a suffix, with `.jpg` for
    `.JPG`, or with the names alone although the images lie in folders.

    Args:
        folder: relative names start here, and images are looked for below.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Images below the folder, by name and by name without suffix, in lower case."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in walk_images(self.folder):
            found[path.name.lower()].append(path)
            found[path.stem.lower()].append(path)
        return found

    def find(self, name: str, prefer: Collection[str] = ()) -> Path:
        """The image that a list calls `name`; where there is none, the path where it should be.

        Args:
            name: as it is written.
            prefer: of several images of one name, take the one in a folder with such a word in
                its name.
        """
        direct = self._direct(name)
        if os.path.isfile(direct):  # Path.is_file raises for a name that is too long
            return direct
        slashed = name.replace("\\", "/")
        parts = [part.lower() for part in slashed.split("/") if part not in ("", ".", "..")]
        if not parts:
            return direct
        found = self._by_name.get(parts[-1], [])
        longest = max((_tail(path, parts) for path in found), default=0)
        best = [path for path in found if _tail(path, parts) == longest]
        if len(best) > 1 and prefer:
            inside = [path for path in best if _words(path, self.folder) & set(prefer)]
            best = inside or best
        return best[0] if len(best) == 1 else self._direct(slashed)

    def _direct(self, name: str) -> Path:
        try:
            path = Path(name).expanduser() if name.startswith("~/") else Path(name)
        except RuntimeError:  # nobody's home
            path = Path(name)
        return path if path.is_absolute() else self.folder / path


def _words(path: Path, folder: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", path.relative_to(folder).parent.as_posix().lower()))


def _tail(path: Path, parts: list[str]) -> int:
    """How many folders above the file agree, from the last one."""
    count = 0
    for own, other in zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False):
        if own.lower() != other:
            break
        count += 1
    return count
