"""The check of every image before the start."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.scan import check_images, find_bad_images


@pytest.fixture
def zoo(tmp_path: Path) -> dict[str, Path]:
    """Good and bad files; the bad ones' names start with "bad"."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for name in ("ok.jpg", "ok.png", "ok.gif", "ok.tiff", "ok.webp"):
        noise.save(tmp_path / name)
    jpeg = (tmp_path / "ok.jpg").read_bytes()
    png = (tmp_path / "ok.png").read_bytes()
    contents = {
        "ok motion.jpg": jpeg + bytes(20_000),
        "bad half.jpg": jpeg[: len(jpeg) // 2],
        "bad half.png": png[: len(png) // 2],
        "bad byte.png": png[:2000] + bytes([png[2000] ^ 255]) + png[2001:],
        "bad text.jpg": b"hello",
        "bad empty.jpg": b"",
        "bad empty.npy": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    noise.resize((3, 30)).save(tmp_path / "bad thin.png")
    np.save(tmp_path / "ok.npy", np.zeros((8, 8, 3), np.uint8))
    np.save(tmp_path / "bad bands.npy", np.zeros((8, 8, 7), np.uint8))
    half = (tmp_path / "ok.tiff").read_bytes()
    (tmp_path / "bad half.tiff").write_bytes(half[: len(half) // 2])
    found = {path.name: path for path in sorted(tmp_path.iterdir())}
    return {**found, "bad gone.jpg": tmp_path / "bad gone.jpg"}


@pytest.mark.parametrize("scan", ["header", "full"])
def test_exactly_the_bad_ones_are_named(zoo: dict[str, Path], scan: str) -> None:
    found = find_bad_images(list(zoo.values()), scan=scan)
    assert sorted(path.name for path in found) == sorted(n for n in zoo if n.startswith("bad"))
    for path, reason in found.items():
        assert reason
        assert "\n" not in reason
        assert str(path) not in reason


def test_sizes_are_those_of_upright_images(zoo: dict[str, Path], tmp_path: Path) -> None:
    turned = Image.new("RGB", (10, 20))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    paths = [tmp_path / "turned.jpg", zoo["ok.png"], zoo["ok.npy"], zoo["bad gone.jpg"]]
    stated = {zoo["bad gone.jpg"]: (7, 9)}
    for scan in ("header", "full", "none"):
        sizes = check_images(paths, scan=scan, channels=3, stated=stated)
        assert [sizes[path] for path in paths[:3]] == [(10, 20), (64, 64), (8, 8)]
        assert (sizes[paths[3]] == (7, 9)) == (scan == "none")


def test_nothing_to_check() -> None:
    assert check_images([], scan="header", channels=3) == find_bad_images([]) == {}


@pytest.mark.parametrize("scan", ["header", "full"])
def test_bands_are_checked_against_the_model(tmp_path: Path, scan: str) -> None:
    six, rgb = tmp_path / "six.npy", tmp_path / "rgb.png"
    np.save(six, np.zeros((8, 8, 6), np.float32))
    Image.new("RGB", (8, 8)).save(rgb)
    assert not find_bad_images([six], scan=scan, channels=6)
    assert find_bad_images([six], scan=scan, channels=3)
    assert find_bad_images([rgb], scan=scan, channels=6)
    assert not find_bad_images([rgb], scan=scan, channels=1)
