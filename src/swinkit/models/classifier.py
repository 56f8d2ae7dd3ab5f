"""Image classification with a Swin backbone: logits for tensors, named results for images.

Legend: B batch, H W pixels, C channels, K classes.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError, ImageError
from swinkit.heads.classify import ClassificationHead
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import ImageSource, describe, read_image
from swinkit.images.sources import find_images
from swinkit.models.info import ModelInfo
from swinkit.results.classification import Classification

Source = ImageSource | Sequence[ImageSource]


class SwinClassifier(nn.Module):
    """Backbone, mean pool, linear head (2103.14030, section 3.1), with the facts in `info`.

    Args:
        config: architecture; its last stage should be in `norm_stages`.
        num_classes: K.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names or preprocessing that do not fit the model.
    """

    def __init__(
        self, config: SwinConfig, *, num_classes: int = 1000, info: ModelInfo | None = None
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; a classifier needs at least one")
        self.config = config
        self.num_classes = num_classes
        self.backbone = SwinBackbone(config)
        self.head = ClassificationHead(config.channels[-1], num_classes)
        self.info = info or ModelInfo()

    @property
    def info(self) -> ModelInfo:
        """Class names, preprocessing, metrics and provenance; checked when set."""
        return self._info

    @info.setter
    def info(self, info: ModelInfo) -> None:
        if info.class_names is not None and len(info.class_names) != self.num_classes:
            raise ConfigError(
                f"{len(info.class_names)} class names for a model of {self.num_classes} classes"
            )
        self._info = info

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per logit; "class 0", "class 1", ... where they are unknown."""
        if self.info.class_names is not None:
            return self.info.class_names
        return tuple(f"class {number}" for number in range(self.num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B K` logits."""
        return self.head(self.backbone.forward_last(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B C` pooled features of the last stage."""
        return self.head.pool(self.backbone.forward_last(image))

    def predict(
        self,
        source: Source,
        *,
        batch_size: int = 16,
        on_error: Literal["raise", "skip"] = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
    ) -> list[Classification]:
        """Classify images; always a list, in the order of the source.

        Args:
            source: path of an image, a directory (searched recursively) or a glob, an array
                (H, W) or (H, W, C), a Pillow image, or a list of any of these.
            batch_size: images in one forward pass.
            on_error: "skip" leaves out images that cannot be read.
            device: moves the model there first; None leaves it where it is.
            keep_images: keep each picture in its result, for `plot`.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
        """
        if device is not None:
            self.to(device)
        was_training = self.training
        self.eval()
        try:
            images = self._read_all(_sources(source), on_error)
            results: list[Classification] = []
            while batch := list(islice(images, max(batch_size, 1))):
                results += self._classify(batch, keep_images)
        finally:
            self.train(was_training)
        return results

    def _preprocessing(self) -> Preprocessing:
        preprocessing = self.info.preprocessing
        if preprocessing.channels == self.config.in_channels:
            return preprocessing
        return Preprocessing.for_size(preprocessing.size_hw, channels=self.config.in_channels)

    def _read_all(
        self, sources: Sequence[ImageSource], on_error: Literal["raise", "skip"]
    ) -> Iterator[tuple[str | None, np.ndarray, np.ndarray]]:
        preprocessing = self._preprocessing()
        for source in sources:
            name = str(source) if isinstance(source, (str, Path)) else None
            try:
                pixels = read_image(source, channels=self.config.in_channels)
                values = preprocessing(pixels, name=name or describe(source))
            except ImageError:
                if on_error == "raise":
                    raise
                continue
            yield name, pixels, values

    def _classify(
        self, batch: list[tuple[str | None, np.ndarray, np.ndarray]], keep_images: bool
    ) -> list[Classification]:
        started = time.perf_counter()
        parameter = next(self.parameters())
        values = torch.from_numpy(np.stack([values for _, _, values in batch]))
        with torch.inference_mode():
            logits = self(values.to(parameter.device, parameter.dtype))
            probabilities = logits.float().softmax(-1).cpu().numpy()
        seconds = (time.perf_counter() - started) / len(batch)
        return [
            Classification(
                class_names=self.class_names,
                probabilities=row,
                source=name,
                image_rgb=pixels if keep_images and pixels.shape[-1] == 3 else None,
                seconds=seconds,
            )
            for (name, pixels, _), row in zip(batch, probabilities, strict=True)
        ]


def _sources(source: Source) -> Sequence[ImageSource]:
    if isinstance(source, (np.ndarray, Image.Image)):
        return [source]
    if isinstance(source, (str, Path)):
        return find_images(source)
    if not isinstance(source, Sequence):
        raise ImageError(
            f"cannot predict on {type(source).__name__}; give a path, an array, an image or a list"
        )
    found: list[ImageSource] = []
    for item in source:
        found += _sources(item)
    return found
