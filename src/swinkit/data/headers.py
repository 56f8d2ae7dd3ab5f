"""The size of every image file, from its first bytes, and which files are bad."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from swinkit.data.scan import scan_images
from swinkit.errors import ImageError
from swinkit.images.reading import explain, quiet_pillow

ORIENTATION = 0x0112  # EXIF tag
TURNED = (5, 6, 7, 8)  # its values that swap the sides


def check_images(
    paths: Sequence[Path],
    *,
    scan: Literal["header", "full", "none"],
    channels: int,
    stated: Mapping[Path, tuple[int, int]] | None = None,
) -> dict[Path, tuple[int, int] | str]:
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
        found |= dict(scan_images(good, mode=scan, channels=channels).bad)
    return found


def _size(path: Path) -> tuple[int, int] | str:
    try:
        if path.suffix.lower() == ".npy":
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            return (int(shape[0]), int(shape[1]))
        if path.stat().st_size == 0:
            return "is empty (0 bytes)"
        with Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION) in TURNED
            return (image.width, image.height) if turned else (image.height, image.width)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        return explain(error)
