"""The check of every image before the start."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.scan import scan_images


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


@pytest.mark.parametrize("mode", ["header", "full"])
def test_exactly_the_bad_ones_are_named(zoo: dict[str, Path], mode: str) -> None:
    steps: list[tuple[int, int]] = []
    report = scan_images(
        list(zoo.values()), mode=mode, threads=3, progress=lambda *step: steps.append(step)
    )
    named = sorted(path.name for path, _ in report.bad)
    assert named == sorted(name for name in zoo if name.startswith("bad"))
    assert report.ok == len(zoo) - len(named)
    assert steps[-1] == (len(zoo), len(zoo))
    assert str(len(named)) in str(report)
    for path, reason in report.bad:
        assert reason
        assert "\n" not in reason
        assert str(path) not in reason


def test_nothing_to_scan() -> None:
    assert scan_images([]).ok == 0


@pytest.mark.parametrize("mode", ["header", "full"])
def test_bands_are_checked_against_the_model(tmp_path: Path, mode: str) -> None:
    np.save(tmp_path / "six.npy", np.zeros((8, 8, 6), np.float32))
    assert scan_images([tmp_path / "six.npy"], mode=mode, channels=6).ok == 1
    assert scan_images([tmp_path / "six.npy"], mode=mode, channels=3).ok == 0
    Image.new("RGB", (8, 8)).save(tmp_path / "rgb.png")
    assert scan_images([tmp_path / "rgb.png"], mode=mode, channels=6).ok == 0
    assert scan_images([tmp_path / "rgb.png"], mode=mode, channels=1).ok == 1
