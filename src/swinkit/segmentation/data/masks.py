"""Masks: from a file's pixels to labels. H W map, K classes; NumPy and Pillow only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from swinkit.errors import ImageError
from swinkit.images.reading import explain, open_image
from swinkit.settings import SizeHW

IGNORE = 255  # label of pixels that do not count
MOST_CLASSES = 255
LOSSY = ("JPEG", "MPO")
GRAY_TOLERANCE = 16  # by how much the channels of a gray JPEG differ
MOST_COLORS = 1024  # a mask with more is a photograph, or was saved as JPEG
INDEX_MODES = ("L", "P", "1", "I", "I;16", "I;16B", "I;16L", "LA")

MaskKind = Literal["index", "color"]


@dataclass(frozen=True, eq=False)
class RawMask:
    """The pixels of a mask file as numbers.

    Attributes:
        kind: "index" for files that hold one number per pixel, "color" for RGB.
        codes: (H, W); the number, or r + 256 g + 65536 b.
        palette: (256, 3) uint8 of a palette file, else None.
        lossy: whether the file is a JPEG.
        overlap: pixels that the masks of several classes hold, of which this one was made.
    """

    kind: MaskKind
    codes: np.ndarray
    palette: np.ndarray | None = None
    lossy: bool = False
    overlap: int = 0

    @property
    def size_hw(self) -> SizeHW:
        return self.codes.shape[0], self.codes.shape[1]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """What the numbers in a mask mean.

    Attributes:
        kind: of the numbers to look up; a palette file can be read as either.
        codes: (N,) sorted; labels: (N,) uint8, the class of each, or IGNORE.
    """

    kind: MaskKind
    codes: np.ndarray
    labels: np.ndarray

    @staticmethod
    def of(kind: MaskKind, label_by_code: Mapping[int, int]) -> "LabelTable":
        """From a table of code to label."""
        codes = np.array(sorted(label_by_code), np.int64)
        labels = np.array([label_by_code[int(code)] for code in codes], np.uint8)
        return LabelTable(kind, codes, labels)

    def labels_of(self, codes: np.ndarray) -> np.ndarray:
        """Labels uint8 of codes of any shape; IGNORE where a code is unknown."""
        if codes.dtype == np.uint8:
            # 256 numbers need no search.
            return self._search(np.arange(256))[codes]
        return self._search(codes)

    def knows(self, codes: np.ndarray) -> np.ndarray:
        """Bool of the same shape: whether a code has a meaning."""
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return self.codes[places] == codes

    def _search(self, codes: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return np.where(self.codes[places] == codes, self.labels[places], np.uint8(IGNORE))


def read_labels(path: Path, table: LabelTable) -> np.ndarray:
    """(H, W) uint8 labels of a mask file, IGNORE for void and for unknown codes.

    Raises:
        ImageError: unreadable, or a color file where numbers are expected.
    """
    mask = read_mask(path)
    codes = convert_codes(mask.codes, mask.kind, table.kind, mask.palette)
    if codes is None:
        raise ImageError(
            f"{path}: the mask is {mask.kind}-coded, but the data set's masks are "
            f"{table.kind}-coded; convert it"
        )
    return table.labels_of(codes)


def read_mask(path: Path) -> RawMask:
    """The pixels of a mask file; RGB with three equal channels counts as numbers.

    Arrays in `.npy` files are numbers, or colors if they have three channels; below 0 is void.

    Raises:
        ImageError: missing, unreadable, or of a mode that no mask has.
    """
    try:
        if path.suffix.lower() == ".npy":
            return _from_array(np.load(path, allow_pickle=False), path)
        with open_image(path) as image:
            image.load()
            return _from_image(image, path)
    except ImageError:
        raise
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        raise ImageError(f"{path}: {explain(error, 'PNG')}") from error


def convert_codes(
    codes: np.ndarray, kind: MaskKind, wanted: MaskKind, palette: np.ndarray | None
) -> np.ndarray | None:
    """Codes of one kind as those of another; a palette file has both. None where that cannot be."""
    if kind == wanted:
        return codes
    if wanted == "color" and palette is not None:
        return pack(palette)[codes]
    if wanted == "color" and codes.max(initial=0) < 256:
        # A gray pixel of a color-coded set is the color (v, v, v).
        return codes.astype(np.int64) * 0x010101
    return None


def pack(colors: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 as r + 256 g + 65536 b, int64."""
    wide = colors.astype(np.int64)
    return wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]


def unpack(code: int) -> tuple[int, int, int]:
    """Inverse of `pack` for one code."""
    return code % 256, code // 256 % 256, code // 65536


def pascal_palette() -> np.ndarray:
    """(256, 3) uint8: the palette that Pascal VOC's masks carry, and many tools write since.

    Bit j of a number's k-th group of three becomes bit 7 - k of channel j (VOC devkit).
    """
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for group in range(8):
        for channel in range(3):
            bit = numbers >> (3 * group + channel) & 1
            palette[:, channel] |= (bit << (7 - group)).astype(np.uint8)
    return palette


def _from_array(values: np.ndarray, path: Path) -> RawMask:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8:
        return RawMask("color", pack(values))
    whole = values.dtype.kind in "biuf" and values.ndim == 2 and values.size > 0
    if not whole or not (values == np.floor(values)).all() or np.abs(values).max() >= 2**31:
        raise ImageError(
            f"{path}: the mask is an array {values.shape} {values.dtype}; save (H, W) whole numbers"
        )
    codes = values.astype(np.int64)
    return RawMask("index", np.where(codes < 0, IGNORE, codes))


def _from_image(image: Image.Image, path: Path) -> RawMask:
    if image.mode == "LA":
        image = image.getchannel(0)
    if image.mode in INDEX_MODES:
        values = np.asarray(image)
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        palette = None
        if image.mode == "P":
            colors = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
            palette = np.zeros((256, 3), np.uint8)
            palette[: len(colors)] = colors
        return RawMask("index", values, palette, image.format in LOSSY)
    if image.mode not in ("RGB", "RGBA", "CMYK", "YCbCr"):
        raise ImageError(f"{path}: the mask has mode {image.mode}; save it as PNG with 8 bits")
    pixels = np.asarray(image.convert("RGB"))
    lossy = image.format in LOSSY
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    if spread.max(initial=0) <= (GRAY_TOLERANCE if lossy else 0):
        return RawMask("index", np.ascontiguousarray(pixels[..., 1]), None, lossy)
    return RawMask("color", pack(pixels), None, lossy)
