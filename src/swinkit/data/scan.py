"""Checking every image before the work starts."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from swinkit.errors import ImageError
from swinkit.images.reading import (
    CHANNELS_OF_PICTURES,
    SMALLEST_SIDE,
    check_size,
    decode_image,
    explain,
    quiet_pillow,
)

END_OF_JPEG = b"\xff\xd9"
TAIL_BYTES = 4096  # cameras append a little after the end of the image
CHUNK = 256  # images between two reports of progress


@dataclass(frozen=True)
class ScanReport:
    """What a scan found.

    Attributes:
        ok: number of good images.
        bad: (path, reason) of each bad one, in the order given.
    """

    ok: int
    bad: tuple[tuple[Path, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.ok} images are good, {len(self.bad)} are bad"


def scan_images(
    paths: Sequence[Path],
    *,
    mode: Literal["header", "full"] = "header",
    channels: int = 3,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScanReport:
    """Check images in threads.

    Args:
        paths: image files.
        mode: "header" opens each file, lets the format check itself and looks for a JPEG's end;
            "full" decodes every pixel.
        channels: number of channels that the images must give.
        threads: default: one per processor.
        progress: called with (done, all) now and then.
    """
    check = _check_fully if mode == "full" else _check_header
    bad: list[tuple[Path, str]] = []
    # The silencing of warnings belongs to the process, so it is entered once, around the threads.
    with quiet_pillow(), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            reasons = list(pool.map(lambda path: check(path, channels), chunk))
            bad += [(path, why) for path, why in zip(chunk, reasons, strict=True) if why]
            if progress is not None:
                progress(start + len(chunk), len(paths))
    return ScanReport(len(paths) - len(bad), tuple(bad))


def _check_fully(path: Path, channels: int) -> str | None:
    try:
        decode_image(path, channels=channels)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _check_header(path: Path, channels: int) -> str | None:
    try:
        if path.suffix.lower() == ".npy":
            return _check_npy(path, channels)
        if channels not in (1, 3) or not path.exists() or path.stat().st_size == 0:
            return _check_fully(path, channels)
        with Image.open(path) as image:
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


def _check_npy(path: Path, channels: int) -> str | None:
    shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    bands = shape[2] if len(shape) == 3 else len(shape) - 1
    fits = bands == channels or (channels in (1, 3) and bands in CHANNELS_OF_PICTURES)
    sound = fits and len(shape) in (2, 3) and min(shape[:2]) >= SMALLEST_SIDE
    return None if sound else _check_fully(path, channels)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()
