"""What a file of any number of bands holds, and its pixels. H W map, C bands.

TIFF (with GeoTIFF) and `.npy`. Headers are read without decoding a pixel, so that a file is
believed only after its size is known.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from swinkit.errors import ImageError
from swinkit.settings import SizeHW

MAPPED_FROM = 1 << 28  # bytes of an .npy file from which it stays on the disk, read as needed
MOST_VALUES = 1 << 30  # pixels times bands of a file: a satellite's tile of 10980² has 120 million
MOST_PAGES = 256
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES, EXTRA = 256, 257, 258, 262, 277, 338  # TIFF's tags
TILE_WIDTH, TILE_HEIGHT = 322, 323
CMYK = 5
ALPHA = (1, 2)  # kinds of an extra sample that are transparency


@dataclass(frozen=True, kw_only=True)
class BandFacts:
    """A file's header.

    Attributes:
        size_hw: (height, width) in pixels.
        bands: C; of a TIFF with a page per band its pages.
        picture: gray or color of 8 bits, with or without transparency: Pillow reads it whole.
        by_page: each band is a page of its own, which Pillow reads too.
    """

    size_hw: SizeHW
    bands: int
    picture: bool
    by_page: bool = False


def band_facts(path: Path) -> BandFacts | None:
    """The header of a TIFF or `.npy` file; None for any other file.

    Raises:
        ImageError: too many values.
        Exception: as readers of damaged files do, nearly any.
    """
    if path.suffix.lower() == ".npy":
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        if len(shape) not in (2, 3):
            raise ImageError(f"{path}: expected (H, W) or (H, W, C) with pixels, got {shape}")
        # Where the first axis is the short one it holds the bands: reading says what to do.
        last = len(shape) == 2 or shape[0] >= min(shape[1:])
        bands = 1 if len(shape) == 2 else shape[2] if last else shape[0]
        size_hw = (shape[0], shape[1]) if last else (shape[1], shape[2])
        return BandFacts(size_hw=size_hw, bands=bands, picture=bands in (1, 3))
    pages = _tiff_pages(path)
    return None if not pages else _tiff_facts(path, pages)


def read_bands(path: Path) -> np.ndarray | None:
    """The pixels of a file that Pillow cannot read, or not whole; None leaves it to Pillow.

    Raises:
        ImageError, Exception: as `band_facts`, `read_npy` and `read_tiff`.
    """
    if path.suffix.lower() == ".npy":
        return read_npy(path)
    facts = band_facts(path)
    if facts is None or facts.picture or facts.by_page:
        return None
    return read_tiff(path, facts)


def read_npy(path: Path) -> np.ndarray:
    """The array of a file; one that is large stays on the disk.

    Raises:
        ImageError: more values than a machine should be asked to hold.
        ValueError: no array, objects inside, or fewer bytes than its header states.
    """
    # Mapping compares the header with the file's size before anything is allocated.
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_values(path, mapped.size)
    return mapped if mapped.nbytes >= MAPPED_FROM else np.array(mapped)


def read_tiff(path: Path, facts: BandFacts) -> np.ndarray:
    """(H, W, C) of a TIFF, in the type that it has.

    Raises:
        ImageError: tifffile is missing, or a codec of the file.
        Exception: as readers of damaged files do, nearly any.
    """
    try:
        from tifffile import TiffFile
    except ImportError as error:
        raise ImageError(
            f"{path}: a TIFF of {facts.bands} bands; install tifffile (pip install "
            "'swinkit[bands]') to read it, or save it as .npy"
        ) from error
    try:
        with TiffFile(path) as file:
            page: Any = file.pages[0]
            pixels = page.asarray()
            # Planes come as (C, H, W), or (C, 1, H, W) in some versions.
            planes = "S" in page.axes and page.axes.index("S") < page.axes.index("Y")
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise ImageError(
            f"{path}: its compression needs imagecodecs; install it (pip install "
            "'swinkit[bands]'), or save the file uncompressed"
        ) from error
    pixels = pixels.reshape(facts.bands, *facts.size_hw) if planes else pixels
    return np.moveaxis(pixels, 0, 2) if planes else pixels.reshape(*facts.size_hw, -1)


def _tiff_pages(path: Path) -> list[dict[int, Any]]:
    """The tags of each page; empty for a file of another kind."""
    with path.open("rb") as file:
        start = file.read(16)
        if start[:4] not in TIFF_STARTS:
            return []
        directory = ImageFileDirectory_v2(start if start[2:4] in (b"+\0", b"\0+") else start[:8])
        pages: list[dict[int, Any]] = []
        seen: set[int] = set()
        wanted = (WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES, EXTRA, TILE_WIDTH, TILE_HEIGHT)
        place: int | None = directory.next
        while place and place not in seen and len(pages) < MOST_PAGES:
            seen.add(place)
            file.seek(place)
            directory.load(file)
            pages.append({tag: directory[tag] for tag in wanted if tag in directory})
            place = directory.next
    return pages


def _tiff_facts(path: Path, pages: list[dict[int, Any]]) -> BandFacts:
    first = pages[0]
    size_hw = (int(first[HEIGHT]), int(first[WIDTH]))
    samples = int(first.get(SAMPLES, 1))
    alike = all((p.get(HEIGHT), p.get(WIDTH)) == (first[HEIGHT], first[WIDTH]) for p in pages)
    by_page = alike and len(pages) > 1 and all(int(p.get(SAMPLES, 1)) == 1 for p in pages)
    if by_page:
        return BandFacts(size_hw=size_hw, bands=len(pages), picture=False, by_page=True)
    tile = int(first.get(TILE_WIDTH, 0)) * int(first.get(TILE_HEIGHT, 0))
    _check_values(path, max(size_hw[0] * size_hw[1], tile) * samples)
    extra = first.get(EXTRA, ())
    extra = extra if isinstance(extra, tuple) else (extra,)
    colors = samples - sum(kind in ALPHA for kind in extra)
    picture = colors in (1, 3) or (samples == 4 and first.get(PHOTOMETRIC) == CMYK)
    bits = np.max(first.get(BITS, 1))
    # Pillow keeps the upper 8 bits of deeper colors.
    return BandFacts(
        size_hw=size_hw, bands=samples, picture=picture and (samples == 1 or bits <= 8)
    )


def _check_values(path: Path, values: int) -> None:
    if values > MOST_VALUES:
        raise ImageError(
            f"{path}: {values:,} values (pixels x bands), more than {MOST_VALUES:,}; cut it into "
            "tiles"
        )
