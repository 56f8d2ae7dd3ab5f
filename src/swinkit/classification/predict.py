"""From images to their classes. Legend: C channels, H W pixels."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from swinkit.classification.result import Classification
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.base import OnError
from swinkit.task.predicting import (
    InputImage,
    Source,
    Stopwatch,
    as_list,
    list_sources,
    device_and_dtype,
    predict_each,
)

if TYPE_CHECKING:
    from swinkit.classification.model import SwinClassifier


def each_class(
    model: "SwinClassifier",
    source: Source,
    *,
    batch_size: int = 16,
    on_error: OnError = "raise",
    device: str | torch.device | None = None,
    keep_images: bool = True,
) -> Iterator[Classification]:
    """Classify images: answers one by one, in the order of the source.

    Only a batch of images is in memory at a time. `SwinClassifier.predict` gives a list of all.

    Args:
        source: path of an image, a directory (searched recursively) or a glob, an array
            (H, W) or (H, W, C), a Pillow image, or a list of any of these.
        batch_size: images in one forward pass.
        on_error: "skip" leaves out images that cannot be read.
        device: moves the model there first; None leaves it where it is.
        keep_images: keep each picture in its result, for `plot`.

    Raises:
        ImageError: nothing found, or an unreadable image with on_error="raise".
        ConfigError: batch_size below 1.
    """
    channels = model.config.in_channels
    prepare = model.preprocessing
    if prepare.channels != channels:
        prepare = Preprocessing.for_size(prepare.size_hw, channels=channels)
    return predict_each(
        model,
        list_sources(source),
        lambda pixels, name: prepare(pixels, name=name),
        lambda batch: _classify(model, batch, keep_images),
        channels=channels,
        batch_size=batch_size,
        on_error=on_error,
        device=device,
    )


predict_classes = as_list(each_class)


def _classify(
    model: "SwinClassifier", batch: list[InputImage[np.ndarray]], keep_images: bool
) -> list[Classification]:
    watch = Stopwatch()
    device, dtype = device_and_dtype(model)
    values = torch.from_numpy(np.stack([image.prepared for image in batch]))
    probabilities = model(values.to(device, dtype)).float().softmax(-1).cpu().numpy()
    seconds = watch.share(len(batch))
    return [
        Classification(
            class_names=model.class_names,
            probabilities=row,
            source=image.name,
            image_rgb=image.picture(keep_images),
            seconds=seconds,
        )
        for image, row in zip(batch, probabilities, strict=True)
    ]
