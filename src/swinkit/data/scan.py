"""The check of every image before the work starts: its size, and whether it can be read."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from swinkit.errors import ImageError
from swinkit.images.bands import band_facts
from swinkit.images.reading import (
    BAND_SUFFIXES,
    CHANNELS_OF_PICTURES,
    SMALLEST_SIDE,
    check_size,
    decode_image,
    explain,
    open_image,
    quiet_pillow,
)
from swinkit.settings import SizeHW

END_OF_JPEG = b"\xff\xd9"
TAIL_BYTES = 4096  # cameras append a little after the end of the image
ORIENTATION = 0x0112  # EXIF tag
TURNED = (5, 6, 7, 8)  # its values that swap the sides


def find_bad_images(
    paths: Sequence[Path], *, scan: Literal["header", "full"] = "header", channels: int = 3
) -> dict[Path, str]:
    """Which images cannot be used, and why; checked in threads.

    Args:
        paths: image files.
        scan: "header" opens each file, lets the format check itself and looks for a JPEG's end;
            "full" decodes every pixel.
        channels: that the images must give.
    """
    check = _check_fully if scan == "full" else _check_header
    # The silencing of warnings belongs to the process, so it is entered once, around the threads.
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        reasons = pool.map(lambda path: check(path, channels), paths)
        return {path: why for path, why in zip(paths, reasons, strict=True) if why}


def check_images(
    paths: Sequence[Path],
    *,
    scan: Literal["header", "full", "none"],
    channels: int,
    stated: Mapping[Path, SizeHW] | None = None,
) -> dict[Path, SizeHW | str]:
    """(height, width) of each image as it will be read (upright), or why it cannot be.

    Args:
        paths: image files.
        scan: as in DataConfig; "none" opens only files whose size is not stated.
        channels: that the images must give.
        stated: sizes that the annotations give; believed where `scan` is "none".
    """
    known = dict(stated or {}) if scan == "none" else {}
    unique = [path for path in dict.fromkeys(paths) if path not in known]
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = known | dict(zip(unique, pool.map(_size, unique), strict=True))
    if scan != "none":
        good = [path for path, size in found.items() if not isinstance(size, str)]
        found |= find_bad_images(good, scan=scan, channels=channels)
    return found


def exif_orientation(path: Path) -> int:
    """How EXIF says to turn an image: 1 not at all, 5 to 8 with its sides swapped."""
    try:
        with quiet_pillow(), open_image(path) as image:
            return int(image.getexif().get(ORIENTATION, 1))
    # Decoders of damaged files raise nearly anything.
    except Exception:
        return 1


def _check_fully(path: Path, channels: int) -> str | None:
    try:
        decode_image(path, channels=channels)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _check_header(path: Path, channels: int) -> str | None:
    try:
        if channels not in (1, 3) or not path.exists() or path.stat().st_size == 0:
            return _check_bands(path, channels)
        if path.suffix.lower() in BAND_SUFFIXES:
            return _check_bands(path, channels)
        with open_image(path) as image:
            kind = image.format
            check_size(image.height, image.width, str(path))
            image.verify()
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        return explain(error)
    # A whole JPEG ends with a marker; where much was appended to it only decoding can tell.
    if kind in ("JPEG", "MPO") and END_OF_JPEG not in _tail(path):
        return _check_fully(path, channels)
    # These formats cannot check themselves without decoding.
    if kind not in ("JPEG", "MPO", "PNG"):
        return _check_fully(path, channels)
    return None


def _check_bands(path: Path, channels: int) -> str | None:
    """An array by its header, which tells all but the values; others by decoding."""
    if path.suffix.lower() != ".npy":
        return _check_fully(path, channels)
    facts = band_facts(path)
    assert facts is not None
    fits = facts.bands == channels or {facts.bands, channels} <= set(CHANNELS_OF_PICTURES)
    sound = fits and channels != 4 and min(facts.size_hw) >= SMALLEST_SIDE
    return None if sound else _check_fully(path, channels)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()


def _size(path: Path) -> SizeHW | str:
    try:
        if path.stat().st_size == 0:
            return "is empty (0 bytes)"
        suffix = path.suffix.lower()
        facts = band_facts(path) if suffix in BAND_SUFFIXES else None
        if facts is not None and (suffix == ".npy" or not (facts.picture or facts.by_page)):
            return facts.size_hw
        with open_image(path) as image:
            turned = image.getexif().get(ORIENTATION) in TURNED
            return (image.width, image.height) if turned else (image.height, image.width)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        return explain(error)
