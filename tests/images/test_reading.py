"""read_image on files of every nasty kind."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swinkit.data.scan import find_bad_images
from swinkit.errors import ImageError
from swinkit.images import bands
from swinkit.images.reading import read_image


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    """A smooth picture, red growing to the right and green downwards; `size` is (W, H)."""
    across = np.linspace(0, 255, size[0])[None, :].repeat(size[1], 0)
    down = np.linspace(0, 255, size[1])[:, None].repeat(size[0], 1)
    rgb = np.stack([across, down, np.full_like(across, 60)], axis=2).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", ".png"),
        ("L", ".png"),
        ("1", ".png"),
        ("P", ".png"),
        ("LA", ".png"),
        ("RGBA", ".png"),
        ("RGB", ".bmp"),
        ("RGB", ".webp"),
        ("P", ".gif"),
        ("CMYK", ".jpg"),
        ("L", ".jpg"),
        ("CMYK", ".tiff"),
        ("LAB", ".tiff"),
        ("YCbCr", ".jpg"),
        ("RGB", ".ppm"),
    ],
)
def test_every_mode_reads_as_three_or_one_channel(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"ein Bild 鳥{suffix}"
    picture(mode).save(path)
    image = read_image(path)
    assert image.shape == (16, 24, 3)
    assert image.dtype == np.uint8
    assert read_image(str(path), channels=1).shape == (16, 24, 1)


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "P", "YCbCr"])
def test_colors_survive(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.tiff"
    original = picture()
    (original.quantize(256) if mode == "P" else original.convert(mode)).save(path)
    difference = read_image(path).astype(int) - np.asarray(original).astype(int)
    assert np.abs(difference).mean() < 12


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, :4] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / "rgba.png")
    Image.fromarray(clear[:, :, [0, 3]]).save(tmp_path / "la.png")
    for name, solid in (("rgba.png", (10, 20, 30)), ("la.png", (10, 10, 10))):
        image = read_image(tmp_path / name)
        assert tuple(image[0, 0]) == solid
        assert tuple(image[0, 7]) == (255, 255, 255)
    floats = read_image(clear.astype(np.float32) / 255)
    np.testing.assert_allclose(floats[0, 7], 1)
    np.testing.assert_allclose(floats[0, 0] * 255, (10, 20, 30), atol=1e-4)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_palette_with_transparency(tmp_path: Path, transparency: object) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.paste(1, (4, 0, 8, 8))
    image.save(tmp_path / "p.png", transparency=transparency)
    pixels = read_image(tmp_path / "p.png")
    assert tuple(pixels[0, 0]) == (10, 20, 30)
    assert tuple(pixels[0, 7]) == (255, 255, 255)


def test_rgb_png_with_a_transparent_color(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "t.png", transparency=(1, 2, 3))
    assert tuple(read_image(tmp_path / "t.png")[0, 7]) == (255, 255, 255)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_their_precision(tmp_path: Path, suffix: str) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(values).save(tmp_path / f"deep{suffix}")
    image = read_image(tmp_path / f"deep{suffix}", channels=1)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[:, :, 0] * 65535, values, rtol=1e-6)
    assert read_image(tmp_path / f"deep{suffix}").shape == (8, 8, 3)


def test_32_bit_and_float_tiff(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 0.25, np.float32)).save(tmp_path / "f.tiff")
    np.testing.assert_allclose(read_image(tmp_path / "f.tiff"), 0.25)
    Image.fromarray(np.full((8, 8), 65535, np.int32)).save(tmp_path / "i.tiff")
    np.testing.assert_allclose(read_image(tmp_path / "i.tiff"), 1)
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(tmp_path / "big.tiff")
    with pytest.raises(ImageError, match="8 or 16 bits"):
        read_image(tmp_path / "big.tiff")
    Image.fromarray(np.full((8, 8), 7.0, np.float32)).save(tmp_path / "seven.tiff")
    with pytest.raises(ImageError, match=r"seven\.tiff.*scale them"):
        read_image(tmp_path / "seven.tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture()
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "r.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "r.png"), np.asarray(upright))


def test_damaged_exif_does_not_cost_the_pixels(tmp_path: Path) -> None:
    picture().save(tmp_path / "e.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")
    assert read_image(tmp_path / "e.jpg").shape == (16, 24, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / f"a{suffix}")[0, 0, 0] > 200


def test_bands_from_npy(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).random((9, 11, 6)).astype(np.float32)
    np.save(tmp_path / "b.npy", bands)
    np.testing.assert_array_equal(read_image(tmp_path / "b.npy", channels=6), bands)
    with pytest.raises(ImageError, match=r"b\.npy: 6 channels, but the model takes 3"):
        read_image(tmp_path / "b.npy")
    np.save(tmp_path / "chw.npy", bands.transpose(2, 0, 1))
    with pytest.raises(ImageError, match="transpose it"):
        read_image(tmp_path / "chw.npy", channels=6)


def test_npy_with_objects_inside_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match=r"o\.npy"):
        read_image(tmp_path / "o.npy")


def test_pages_of_a_tiff_are_bands_when_asked(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 6), 10 * i) for i in range(5)]
    pages[0].save(tmp_path / "m.tiff", save_all=True, append_images=pages[1:])
    image = read_image(tmp_path / "m.tiff", channels=5)
    assert image.shape == (6, 8, 5)
    assert image[0, 0].tolist() == [0, 10, 20, 30, 40]
    assert read_image(tmp_path / "m.tiff").shape == (6, 8, 3)
    with pytest.raises(ImageError, match="takes 7"):
        read_image(tmp_path / "m.tiff", channels=7)
    other = [pages[0], Image.new("L", (9, 6))]
    other[0].save(tmp_path / "d.tiff", save_all=True, append_images=other[1:])
    with pytest.raises(ImageError, match="differ in size"):
        read_image(tmp_path / "d.tiff", channels=2)


@pytest.mark.parametrize("mode", ["CMYK", "RGBA"])
def test_four_bands_are_kept_when_four_are_asked_for(tmp_path: Path, mode: str) -> None:
    picture(mode).save(tmp_path / "four.tiff")
    expected = np.asarray(picture(mode))
    np.testing.assert_array_equal(read_image(tmp_path / "four.tiff", channels=4), expected)


def whole_jpeg(path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    return path.read_bytes()


BROKEN: dict[str, Callable[[Path], bytes]] = {
    "half.jpg": lambda path: whole_jpeg(path)[: len(whole_jpeg(path)) // 2],
    "text.jpg": lambda _: b"this is no picture, only called one\n" * 9,
    "html.png": lambda _: b"<!DOCTYPE html><html><body>404</body></html>",
    "empty.png": lambda _: b"",
    "zeros.png": lambda _: bytes(1000),
    "empty.npy": lambda _: b"",
    "text.npy": lambda _: b"1 2 3\n4 5 6\n",
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name](path))
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["png", "jpeg", "gif", "tiff", "bmp", "webp"]))
    path = folder / f"x.{kind}"
    picture().save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ImageError):
        image = read_image(path)
        assert image.ndim == 3
        assert image.shape[2] == 3


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(size=(64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"bomb\.png: more than 2,000 pixels.*bomb"):
        read_image(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Pillow only warns here
    assert read_image(tmp_path / "bomb.png").shape == (64, 64, 3)


@pytest.mark.parametrize(("name", "words"), [("absent.png", "no such file"), (".", "is a folder")])
def test_missing_paths(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(tmp_path / name)


def test_smaller_than_a_patch(tmp_path: Path) -> None:
    picture(size=(3, 20)).save(tmp_path / "thin.png")
    with pytest.raises(ImageError, match=r"thin\.png: 20x3 pixels.*4x4 patch"):
        read_image(tmp_path / "thin.png")


def test_pillow_images_and_arrays() -> None:
    original = picture()
    np.testing.assert_array_equal(read_image(original), np.asarray(original))
    np.testing.assert_array_equal(read_image(np.asarray(original)), np.asarray(original))
    assert read_image(np.ones((5, 5), bool)).max() == 255
    with pytest.raises(ImageError, match="no pixels"):
        read_image(Image.new("RGB", (0, 5)))


def test_luma_of_floats_matches_that_of_bytes() -> None:
    pixels = np.asarray(picture())
    eight = read_image(pixels, channels=1).astype(np.float32) / 255
    fine = read_image(pixels / np.float32(255), channels=1)
    assert np.abs(eight - fine).max() <= 0.51 / 255


def test_huge_arrays_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.save(tmp_path / "huge.npy", values)
    assert not isinstance(read_image(tmp_path / "huge.npy"), np.memmap)
    monkeypatch.setattr(bands, "MAPPED_FROM", 100)
    mapped = read_image(tmp_path / "huge.npy")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, values)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.full((32, 48, 3), (200, 30, 60), np.uint8)
    for name in ("a.heic", "b.jpg"):
        pillow_heif.from_bytes("RGB", (48, 32), pixels.tobytes()).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.shape == (32, 48, 3)
        assert np.abs(image.astype(int) - pixels).max() < 12
    assert find_bad_images([tmp_path / "a.heic"]) == {}


def test_heic_without_its_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k != "HEIF"})
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(ImageError, match=r"a HEIC image; install pillow-heif .*swinkit\[heic\]"):
        read_image(tmp_path / "a.heic")
    heic = tmp_path / "a.heic"
    assert "pillow-heif" in find_bad_images([heic])[heic]
