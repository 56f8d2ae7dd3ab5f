"""The loop that every task's prediction shares: find images, read, prepare, answer in batches."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from swinkit.errors import ConfigError, ImageError
from swinkit.images.reading import ImageSource, describe, read_image, to_8bit
from swinkit.images.sources import find_images
from swinkit.task.base import OnError

Source = ImageSource | Sequence[ImageSource]

Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")


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

    def picture(self, keep: bool) -> np.ndarray | None:
        """The pixels as (H, W, 3) uint8 for a result's `image_rgb`; None where nobody sees them."""
        if not keep or self.pixels.shape[2] not in (1, 3):
            return None
        pixels = to_8bit(self.pixels)
        return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)


def list_sources(source: Source) -> list[ImageSource]:
    """Everything that `source` means, in its order; folders and patterns become their files.

    Raises:
        ImageError: nothing found, or something that is no image.
    """
    if isinstance(source, (np.ndarray, Image.Image)):
        return [source]
    if isinstance(source, (str, Path)):
        return list(find_images(source))
    if not isinstance(source, Sequence):
        raise ImageError(
            f"cannot predict on {type(source).__name__}; give a path, an array, an image or a list"
        )
    return [found for item in source for found in list_sources(item)]


def predict_each(
    model: nn.Module,
    sources: Sequence[ImageSource],
    prepare: Callable[[np.ndarray, str], Prepared],
    answer: Callable[[list[InputImage[Prepared]]], list[Answer]],
    *,
    channels: int,
    batch_size: int,
    on_error: OnError,
    device: str | torch.device | None = None,
) -> Iterator[Answer]:
    """Answers one by one, in the order of the sources, with one batch in memory at a time.

    The model is in evaluation mode while this runs, without gradients, and gets its mode back.

    Args:
        model: moved to `device` first, where one is given.
        sources: files, arrays, Pillow images, as `list_sources` gives them.
        prepare: makes the model's input of an image (H, W, channels) and its name.
        answer: the model's results for a batch.
        channels: bands that the images are read with.
        batch_size: images per call of `answer`.
        on_error: "skip" leaves out images that cannot be read.

    Raises:
        ImageError: an unreadable image with on_error="raise".
        ConfigError: batch_size below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; give at least 1")
    if device is not None:
        model.to(device)
    was_training = model.training
    model.eval()
    try:
        images = _read_each(sources, prepare, channels, on_error)
        while batch := list(islice(images, batch_size)):
            with torch.inference_mode():
                answers = answer(batch)
            yield from answers
    finally:
        model.train(was_training)


def device_and_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where the model's input belongs: device and type of its weights."""
    parameter = next(model.parameters())
    return parameter.device, parameter.dtype


class Stopwatch:
    """Seconds since it was made, shared among the images of a batch."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def share(self, images: int) -> float:
        """Seconds per image."""
        return (time.perf_counter() - self._started) / images


def _read_each(
    sources: Sequence[ImageSource],
    prepare: Callable[[np.ndarray, str], Prepared],
    channels: int,
    on_error: OnError,
) -> Iterator[InputImage[Prepared]]:
    for source in sources:
        name = str(source) if isinstance(source, (str, Path)) else None
        try:
            pixels = read_image(source, channels=channels)
            prepared = prepare(pixels, name or describe(source))
        except ImageError:
            if on_error == "raise":
                raise
            continue
        yield InputImage(name, pixels, prepared)
