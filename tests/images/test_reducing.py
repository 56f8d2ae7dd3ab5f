"""Large pictures are read no larger than needed, upright, and hardly differ."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from swinkit.classification.data.dataset import ClassificationDataset, EvalTransform
from swinkit.classification.data.splits import ClassificationSample
from swinkit.images import reading
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image

SMALL = Preprocessing(size_hw=(16, 16))


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE_PIXELS", 1000)


def picture(mode: str) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 255, 480), np.linspace(0, 255, 320))
    values = np.stack([across, down, 255 - across], axis=2).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK", "P"])
@pytest.mark.parametrize("kind", ["tif", "jpg", "png"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_large_picture(tmp_path: Path, mode: str, kind: str, orientation: int) -> None:
    if (kind == "jpg" and mode in ("RGBA", "P")) or (kind == "png" and mode == "CMYK"):
        return
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"large.{kind}"
    picture(mode).save(path, exif=exif)
    whole, small = read_image(path), read_image(path, reduced=SMALL.scaled_hw)
    upright = ImageOps.exif_transpose(Image.open(path))
    assert whole.shape[:2] == (upright.height, upright.width)
    assert small.size < whole.size / 3
    assert min(small.shape[:2]) >= 4 * 16
    assert np.abs(SMALL(small) - SMALL(whole)).max() < 0.2  # of a standard deviation


def test_what_cannot_be_averaged_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    picture("RGB").save(path, transparency=(0, 0, 255))
    assert read_image(path, reduced=SMALL.scaled_hw).shape[:2] == (320, 480)
    Image.fromarray(np.zeros((320, 480), np.uint16)).save(tmp_path / "fine.png")
    assert read_image(tmp_path / "fine.png", reduced=SMALL.scaled_hw).shape[:2] == (320, 480)


def test_a_size_that_is_needed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    picture("RGB").save(path)
    needed = Preprocessing(size_hw=(100, 100)).scaled_hw
    assert np.array_equal(read_image(path, reduced=needed), read_image(path))


def test_evaluation_reads_as_prediction_does(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    picture("RGB").save(path)
    (values, _, _) = ClassificationDataset([ClassificationSample(path, 0)], EvalTransform(SMALL))[0]
    assert np.array_equal(values.numpy(), SMALL(read_image(path, reduced=SMALL.scaled_hw)))
