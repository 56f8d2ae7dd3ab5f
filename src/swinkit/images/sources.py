"""Which image files a path, a folder or a pattern means."""

import glob
import os
import re
from pathlib import Path

from swinkit.errors import ImageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".webp", ".avif"}
    | {".jp2", ".tif", ".tiff", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".npy"}
)
NUMBERED = re.compile(r"([^0-9]*)([0-9]*)")


def is_image_name(name: str) -> bool:
    """Whether a file name has an image's suffix (any case) and is not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def find_images(source: str | Path) -> list[Path]:
    """The image files that `source` means, in natural order: frame2 before frame10.

    Args:
        source: a file (taken whatever its suffix), a folder (searched with its subfolders; files
            with other suffixes and hidden ones are left out), or a pattern such as
            `photos/**/*.jpg`.

    Raises:
        ImageError: nothing there, or no image among it.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = walk_images(path)
        if not found:
            raise ImageError(
                f"{path}: no images in this folder or below (looked for "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}); name another folder"
            )
        return sorted(found, key=natural_order)
    if not glob.has_magic(str(path)):
        raise ImageError(f"{path}: no such file or folder; check the path")
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    found = [match for match in matches if match.is_file() and is_image_name(match.name)]
    if not found:
        raise ImageError(f"{path}: no image matches this pattern; check it")
    return sorted(found, key=natural_order)


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
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        found.extend(Path(parent, name) for name in files if is_image_name(name))
    return sorted(found)
