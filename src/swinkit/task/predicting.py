"""The loop that every task's prediction shares: find images, read, prepare, answer in batches."""

import functools
import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from swinkit.errors import ConfigError, ImageError, LoggedErrors
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import ImageSource, describe, read_image
from swinkit.images.reducing import Reduced
from swinkit.images.sources import Stream, find_images, is_address, is_stream
from swinkit.task.base import OnError
from swinkit.task.model import Prepare

Input = ImageSource | Stream
Source = Input | Sequence[Input]

Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
Given = ParamSpec("Given")


def listed(one_by_one: Callable[Given, Iterator[Result]]) -> Callable[Given, list[Result]]:
    """The method that gives in a list what `NAME_iter` gives one by one: NAME, for help too."""

    @functools.wraps(one_by_one)
    def whole(*given: Given.args, **named: Given.kwargs) -> list[Result]:
        return list(one_by_one(*given, **named))

    whole.__name__ = one_by_one.__name__.removesuffix("_iter")
    whole.__qualname__ = one_by_one.__qualname__.removesuffix("_iter")
    signature = inspect.signature(one_by_one)
    (result,) = get_args(signature.return_annotation)
    whole.__signature__ = signature.replace(return_annotation=list[result])  # type: ignore
    return whole


@dataclass(frozen=True)
class InputImage(Generic[Prepared]):
    """One image on its way through a model.

    Attributes:
        name: the file; None for an array or a Pillow image.
        pixels: as read, (H, W, C).
        prepared: what the task made of it for its model.
    """

    name: str | None
    pixels: np.ndarray
    prepared: Prepared


def list_sources(source: Source) -> list[Input]:
    """Everything that `source` means, in its order; folders and patterns become their files.

    Raises:
        ImageError: nothing found, or something that is no image.
    """
    if isinstance(source, (np.ndarray, Image.Image)):
        return [source]
    if isinstance(source, int) and is_stream(source):
        return [source]
    if isinstance(source, str) and is_address(source):
        return [source]
    if isinstance(source, (str, Path)):
        return list(find_images(source))
    if not isinstance(source, Sequence) or isinstance(source, (bytes, bytearray, memoryview)):
        raise ImageError(
            f"cannot predict on {type(source).__name__}; give a path, an array, an image or a list"
        )
    return [found for item in source for found in list_sources(item)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictor(ABC, Generic[Prepare, Prepared, Result]):
    """Sends images through one network, with one choice of settings.

    Attributes:
        network: takes the images that `preprocessing` makes.
        class_names: one per class.
        preprocessing: how images are prepared.
        batch_size: images, or parts of an image, in one forward pass.
        runner: takes the images in the network's place, on the CPU; None: the network.
        needs_pixels: whether `results` looks at the pixels beside what `prepare` made of them;
            else they are dropped at once, unless results keep them.

    Raises:
        ConfigError: batch_size below 1.
    """

    network: nn.Module
    class_names: tuple[str, ...]
    preprocessing: Prepare
    batch_size: int = 1
    runner: Callable[..., Any] | None = None
    needs_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; give at least 1")

    @abstractmethod
    def prepare(self, pixels: np.ndarray, name: str) -> Prepared:
        """What `results` needs of an image (H, W, channels). Raises ImageError."""

    def reduced_size(self) -> Reduced | None:
        """What large files are reduced for, see `read_image`; None: results are in pixels."""
        return None

    @abstractmethod
    def results(self, batch: Sequence[InputImage[Prepared]], keep_images: bool) -> Sequence[Result]:
        """One for each image of a batch."""

    def predict_iter(
        self,
        source: Source,
        *,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
    ) -> Iterator[Result]:
        """Results one by one, in the order of the source, with one batch in memory at a time.

        The network is in evaluation mode while this runs, without gradients, and gets its mode
        back.

        Args:
            source: what `list_sources` takes.
            on_error: "skip" leaves out images that cannot be read and logs why; a function is
                called with the error of each instead.
            device: moves the network there first.
            keep_images: keep each picture in its result.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
        """
        return self._predict_each(list_sources(source), on_error, device, keep_images)

    def to_network(self, values: Sequence[np.ndarray]) -> Tensor:
        """Prepared images of one size as a batch, where the network is and of its type."""
        return self.place(torch.from_numpy(np.stack(values)))

    def place(self, images: Tensor) -> Tensor:
        """A batch where the network is, and of its type."""
        return images if self.runner else images.to(next(self.network.parameters()))

    def picture(self, image: InputImage[Prepared], keep: bool) -> np.ndarray | None:
        """The pixels as (H, W, 3) uint8 for a result's `image_rgb`; None where nobody sees them."""
        return self.preprocessing.picture(image.pixels) if keep else None

    @property
    def run(self) -> Callable[..., Any]:
        """What a batch goes through."""
        return self.runner or self.network

    def _predict_each(
        self,
        sources: Sequence[Input],
        on_error: OnError,
        device: str | torch.device | None,
        keep_images: bool,
    ) -> Iterator[Result]:
        if device is not None and self.runner is None:
            self.network.to(device)
        was_training = self.network.training
        self.network.eval()
        try:
            images = self._read_each(sources, on_error, keep_images)
            while batch := list(islice(images, self.batch_size)):
                with torch.inference_mode():
                    results = self.results(batch, keep_images)
                yield from results
        finally:
            self.network.train(was_training)

    def _read_each(
        self, sources: Sequence[Input], on_error: OnError, keep_images: bool
    ) -> Iterator[InputImage[Prepared]]:
        refused = LoggedErrors().add if on_error == "skip" else on_error
        images = (image for source in sources for image in _opened(source))
        for name, source in images:
            try:
                if isinstance(source, ImageError):
                    raise source
                pixels = read_image(
                    source, channels=self.preprocessing.channels, reduced=self.reduced_size()
                )
                prepared = self.prepare(pixels, name or describe(source))
            except ImageError as error:
                if not callable(refused):
                    raise
                refused(error)
                continue
            if not keep_images and not self.needs_pixels:
                pixels = np.empty((0, 0, pixels.shape[2]), pixels.dtype)
            yield InputImage(name, pixels, prepared)


class FixedSizePredictor(Predictor[Preprocessing, np.ndarray, Result]):
    """Sends images through a network whose input has one size; results need no other pixels."""

    needs_pixels = False

    def reduced_size(self) -> Reduced:
        """The size that an image is scaled to."""
        return self.preprocessing.scaled_hw

    def prepare(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """The network's input (C, H, W) float32."""
        return self.preprocessing(pixels, name=name)


def _opened(source: Input) -> Iterator[tuple[str | None, ImageSource | ImageError]]:
    """The image itself, or the images of a stream one by one, with their names.

    What ends a stream early comes as its last item: the sources after it go on.
    """
    if not is_stream(source):
        assert not isinstance(source, int)
        yield (str(source) if isinstance(source, (str, Path)) else None), source
        return
    # Only streams need it, and what decodes them.
    from swinkit.images.streams import read_stream

    assert isinstance(source, (str, Path, int))
    try:
        yield from read_stream(source)
    except ImageError as error:
        yield None, error


class Stopwatch:
    """Seconds since it was made, shared among the images of a batch."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def share(self, images: int) -> float:
        """Seconds per image."""
        return (time.perf_counter() - self._started) / images
