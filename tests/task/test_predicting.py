"""The shared loop: what a source means, batches, modes, pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from swinkit.errors import ConfigError, ImageError
from swinkit.images.fitting import Fit
from swinkit.task.predicting import InputImage, Predictor, list_sources

GRAY = np.full((8, 9), 200, np.uint8)


@dataclass(frozen=True, eq=False, kw_only=True)
class Shapes(Predictor):
    """Gives what `answer` says of a batch; prepares an image as its shape."""

    answer: Callable[[list[InputImage]], list] = lambda batch: [image.name for image in batch]

    def prepare(self, pixels: np.ndarray, name: str) -> tuple[int, ...]:
        return pixels.shape

    def results(self, batch: list[InputImage], keep_images: bool) -> list:
        return self.answer(batch)


def shapes(**changes) -> Shapes:
    settings = {"network": nn.Linear(1, 1), "class_names": ("a",), "preprocessing": Fit()}
    return Shapes(**{**settings, "batch_size": 2, **changes})


def test_sources_of_every_kind_keep_their_order(tmp_path: Path) -> None:
    for number in (10, 9):
        Image.fromarray(GRAY).save(tmp_path / f"{number}.png")
    picture = Image.fromarray(GRAY)
    found = list_sources([GRAY, tmp_path, [picture, str(tmp_path / "1*.png")]])
    assert found[0] is GRAY
    assert found[3] is picture
    assert [Path(path).name for path in (found[1], found[2], found[4])] == [
        "9.png",
        "10.png",
        "10.png",
    ]
    with pytest.raises(ImageError, match="cannot predict on float"):
        list_sources([3.5])


def test_batches_and_gradients() -> None:
    seen = []

    def answer(batch: list[InputImage]) -> list[int]:
        seen.append((len(batch), torch.is_grad_enabled(), batch[0].prepared))
        return [image.pixels.shape[2] for image in batch]

    assert list(shapes(answer=answer).predict_iter([GRAY] * 5)) == [3] * 5
    assert seen == [(2, False, (8, 9, 3)), (2, False, (8, 9, 3)), (1, False, (8, 9, 3))]


def test_the_mode_comes_back_after_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    model = nn.Linear(1, 1).train()
    with pytest.raises(ImageError):
        list(shapes(network=model).predict_iter([broken]))
    assert model.training
    found = shapes().predict_iter([broken, GRAY], on_error="skip")
    assert list(found) == [None]
    assert f"{broken}: not an image" in caplog.text
    errors: list[ImageError] = []
    assert len(list(shapes().predict_iter([broken, GRAY, broken], on_error=errors.append))) == 1
    assert [str(error).split(":")[0] for error in errors] == [str(broken)] * 2
    with pytest.raises(ConfigError, match="batch_size is 0"):
        shapes(batch_size=0)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 5, 3), 7, np.uint8),
        np.full((4, 5, 1), 7, np.uint8),
        np.full((4, 5, 3), 0.5, np.float32),
        np.full((4, 5, 6), 7, np.uint8),
    ],
)
def test_pictures_are_rgb_bytes_or_nothing(pixels: np.ndarray) -> None:
    predictor = shapes(preprocessing=Fit().for_channels(pixels.shape[2]))
    image = InputImage(None, pixels, None)
    picture = predictor.picture(image, True)
    assert predictor.picture(image, False) is None
    assert picture is not None
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8


def test_the_bytes_of_a_file_are_no_cameras() -> None:
    with pytest.raises(ImageError, match="cannot predict on bytes"):
        list_sources(b"\x00\x01")
