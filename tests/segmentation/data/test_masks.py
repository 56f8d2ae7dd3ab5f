"""Mask files of every kind to labels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scenes import COLORS, blocks, color_mask, index_mask, palette_mask

from swinkit.errors import ImageError
from swinkit.segmentation.data.masks import (
    IGNORE,
    LabelTable,
    convert_codes,
    pack,
    pascal_palette,
    read_labels,
    read_mask,
    unpack,
)

LABELS = blocks()
NUMBERS = LabelTable.of("index", {0: 0, 1: 1, 2: 2, 255: IGNORE})


def test_numbers(tmp_path: Path) -> None:
    path = index_mask(tmp_path / "m.png")
    assert np.array_equal(read_labels(path, NUMBERS), LABELS)
    shuffled = LabelTable.of("index", {0: 2, 1: 0, 2: IGNORE})
    assert np.array_equal(np.unique(read_labels(path, shuffled)), [0, 2, IGNORE])


def test_a_palette_is_read_as_its_numbers(tmp_path: Path) -> None:
    path = palette_mask(tmp_path / "m.png", LABELS, pascal_palette())
    mask = read_mask(path)
    assert mask.kind == "index"
    assert np.array_equal(read_labels(path, NUMBERS), LABELS)
    codes = convert_codes(mask.codes, mask.kind, "color", mask.palette)
    assert np.array_equal(codes, pack(pascal_palette())[LABELS])


@pytest.mark.parametrize("mode", ["L", "I", "I;16", "RGB", "RGBA", "LA", "P"])
def test_every_mode_of_numbers(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("m.tiff" if mode == "I" else "m.png")
    Image.fromarray(LABELS).convert(mode).save(path)
    if mode == "P":
        palette_mask(path, LABELS, np.repeat(np.arange(256)[:, None], 3, 1))
    assert read_mask(path).kind == "index"
    assert np.array_equal(read_labels(path, NUMBERS), LABELS)


def test_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(LABELS > 0).save(path)
    coding = LabelTable.of("index", {0: 0, 1: 1})
    assert np.array_equal(read_labels(path, coding), (LABELS > 0).astype(np.uint8))


def test_colors(tmp_path: Path) -> None:
    path = color_mask(tmp_path / "m.png", LABELS, COLORS)
    table = {int(pack(np.array(color))): label for label, color in enumerate(COLORS)}
    assert np.array_equal(read_labels(path, LabelTable.of("color", table)), LABELS)
    # A gray color of the legend appears in a file whose pixels are all gray.
    gray = LabelTable.of("color", {int(pack(np.array((v, v, v)))): v for v in (0, 1, 2)})
    assert np.array_equal(read_labels(index_mask(tmp_path / "g.png"), gray), LABELS)


def test_sixteen_bits(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(LABELS.astype(np.uint16) * 100).save(path)
    coding = LabelTable.of("index", {0: 0, 100: 1, 200: 2})
    assert np.array_equal(read_labels(path, coding), LABELS)


@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=20, unique=True))
def test_codings_know_their_codes(codes: list[int]) -> None:
    coding = LabelTable.of("color", {code: number for number, code in enumerate(codes)})
    values = np.array([*codes, max(codes) + 1, -1])
    assert coding.knows(values).tolist() == [True] * len(codes) + [False, False]
    assert coding.labels_of(values).tolist() == [*range(len(codes)), IGNORE, IGNORE]
    assert all(pack(np.array(unpack(code), np.uint8)) == code for code in codes)


def test_pascals_first_colors() -> None:
    """As the VOC devkit's table prints them."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert [tuple(color) for color in pascal_palette()[:5]] == expected
    assert tuple(pascal_palette()[255]) == (224, 224, 192)
    assert len(set(pack(pascal_palette()).tolist())) == 256


def test_what_is_no_mask(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG no")
    with pytest.raises(ImageError, match=r"broken\.png: not an image, .* save it as PNG$"):
        read_mask(broken)
    with pytest.raises(ImageError, match=r"absent\.png: no such file"):
        read_mask(tmp_path / "absent.png")
    path = color_mask(tmp_path / "m.png", LABELS, COLORS)
    with pytest.raises(ImageError, match="color-coded, but the data set's masks are index-coded"):
        read_labels(path, NUMBERS)
    floats = tmp_path / "f.tiff"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(floats)
    with pytest.raises(ImageError, match="mode F"):
        read_mask(floats)
