"""TIFF of bands, and `.npy`: read whole, or refused in a line."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swinkit.data.bands import measure_bands, recognize_bands
from swinkit.data.config import DataConfig
from swinkit.data.photometric import jitter_colors
from swinkit.data.scan import check_images
from swinkit.errors import ImageError
from swinkit.images.bands import band_facts
from swinkit.images.preprocessing import Normalization
from swinkit.images.reading import read_image

BANDS = (np.arange(20 * 12 * 6) % 4096).astype(np.uint16).reshape(20, 12, 6)


def write_tiff(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    return path


LAYOUTS: dict[str, dict[str, Any]] = {
    "pixels": {"planarconfig": "contig"},
    "planes": {"planarconfig": "separate"},
    "tiles": {"planarconfig": "contig", "tile": (16, 16), "compression": "deflate"},
    "big": {"planarconfig": "contig", "bigtiff": True},
    "other end first": {"planarconfig": "contig", "byteorder": ">"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiff_of_six_bands_and_16_bits(layout: str, tmp_path: Path) -> None:
    planes = layout == "planes"
    pixels = np.ascontiguousarray(np.moveaxis(BANDS, 2, 0)) if planes else BANDS
    path = write_tiff(tmp_path / "a.tif", pixels, **LAYOUTS[layout])
    read = read_image(path, channels=6)
    np.testing.assert_allclose(read, BANDS / np.float32(65535), atol=1e-7)
    config, notes = recognize_bands(DataConfig(path=tmp_path), [path])
    assert (config.channels, len(notes)) == (6, 1)
    assert check_images([path], scan="header", channels=6) == {path: (20, 12)}
    found = check_images([path], scan="header", channels=3)[path]
    assert found == "6 channels, but the model takes 3"


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_types_of_bands(kind: type, tmp_path: Path) -> None:
    pixels = (BANDS % 200).astype(kind) / (200 if kind is np.float32 else 1)
    path = write_tiff(tmp_path / "a.tif", pixels.astype(kind), planarconfig="contig")
    read = read_image(path, channels=6)
    scale = {np.uint8: 1, np.int16: 65535, np.float32: 1}[kind]
    np.testing.assert_allclose(read * scale, pixels, rtol=1e-4)


def test_deep_colors_keep_their_bits(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", BANDS[:, :, :3], planarconfig="contig")
    assert len(np.unique(read_image(path))) > 256


def test_two_and_four_bands_are_no_transparency(tmp_path: Path) -> None:
    for bands in (2, 4):
        pixels = (BANDS[:, :, :bands] % 256).astype(np.uint8)
        path = write_tiff(tmp_path / f"{bands}.tif", pixels, planarconfig="contig")
        config, _ = recognize_bands(DataConfig(path=tmp_path), [path])
        assert config.channels == bands
        np.testing.assert_array_equal(read_image(path, channels=bands), pixels)


TIFF_HEADER = bytes.fromhex("49492a0008000000")  # little end first, the directory at byte 8


def by_hand(height: int, width: int, bands: int) -> bytes:
    """A TIFF of no pixels."""
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (277, 3, 1, bands)]
    fields = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, count, value in entries
    )
    return TIFF_HEADER + len(entries).to_bytes(2, "little") + fields + bytes(4)


def test_without_tifffile_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    (tmp_path / "a.tif").write_bytes(by_hand(20, 12, 6))
    with pytest.raises(ImageError, match=r"a TIFF of 6 bands; install tifffile \(pip install 'swi"):
        read_image(tmp_path / "a.tif", channels=6)


def test_headers_are_believed_only_within_bounds(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(by_hand(1_000_000, 1_000_000, 6))
    with pytest.raises(ImageError, match=r"6,000,000,000,000 values .* cut it into tiles"):
        read_image(tmp_path / "a.tif", channels=6)
    np.save(tmp_path / "a.npy", np.zeros((8, 8, 6), np.uint8))
    content = (tmp_path / "a.npy").read_bytes()
    huge = b"(80000, 80000, 6), }"
    place = content.index(b"(8, 8, 6), }")
    (tmp_path / "a.npy").write_bytes(content[:place] + huge + content[place + len(huge) :])
    with pytest.raises(ImageError, match=r"a\.npy: cannot be"):
        read_image(tmp_path / "a.npy", channels=6)
    (tmp_path / "b.npy").write_bytes(content[:-5])
    with pytest.raises(ImageError, match=r"b\.npy: cannot be decoded .* damaged"):
        read_image(tmp_path / "b.npy", channels=6)


def test_files_that_differ_are_told(tmp_path: Path) -> None:
    for number, bands in enumerate((6, 6, 5)):
        np.save(tmp_path / f"{number}.npy", BANDS[:, :, :bands])
    paths = sorted(tmp_path.glob("*.npy"))
    config, notes = recognize_bands(DataConfig(path=tmp_path), paths)
    assert config.channels == 6
    assert notes == [f"{tmp_path}: images of 6 bands, but of the 3 looked at 5 in 1"]
    assert band_facts(paths[2]).bands == 5


def test_statistics_are_those_of_each_band(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.random((3, 40, 30, 5)).astype(np.float32) * np.array([1, 0.5, 0.1, 0.01, 0])
    for number, image in enumerate(pixels.astype(np.float32)):
        np.save(tmp_path / f"{number}.npy", image)
    found = measure_bands(sorted(tmp_path.glob("*.npy")), 5)
    flat = pixels.reshape(-1, 5)
    np.testing.assert_allclose(found.mean, flat.mean(0), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found.std[:4], flat.std(0)[:4], rtol=1e-4)
    assert found.std[4] > 0  # a band that never changes divides by no zero


def test_pictures_of_bands_are_stretched_and_chosen() -> None:
    shown = Normalization(mean=(0.03,) * 6, std=(0.01,) * 6, shown_bands=(6, 1, 2))
    pixels = np.full((4, 4, 6), 0.03, np.float32)
    pixels[:, :, 5] = 0.05
    picture = shown.picture(pixels)
    assert picture[0, 0].tolist() == [255, 128, 128]
    values = ((pixels - 0.03) / 0.01).transpose(2, 0, 1)
    np.testing.assert_array_equal(shown.restore(values), picture)
    assert Normalization.from_dict(shown.to_dict()) == shown
    assert "shown_bands" not in Normalization().to_dict()


def test_bands_get_gains_of_their_own() -> None:
    image = np.random.default_rng(0).random((16, 16, 6)).astype(np.float32) * 0.5
    ratios = []
    for seed in range(20):
        varied = jitter_colors(image, np.random.default_rng(seed), 1.0)
        assert varied.dtype == np.float32
        assert 0 <= varied.min() <= varied.max() <= 1
        ratios.append((varied.mean((0, 1)) / image.mean((0, 1))).std())
    assert max(ratios) > 0.01
    assert min(ratios) < 1e-5  # not every image is varied
