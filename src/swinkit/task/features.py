"""Images as vectors: each through a model's backbone. C channels of the last stage, N images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from swinkit.images.fitting import FittedImage
from swinkit.images.reducing import Reduced
from swinkit.task.model import TaskModel
from swinkit.task.predicting import InputImage, Predictor


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFeatures:
    """An image's vector.

    Attributes:
        source: the file; None for an array or a Pillow image.
        vector: (C,) float32.
    """

    source: str | None
    vector: np.ndarray


class FeaturePredictor(Predictor[Any, np.ndarray, ImageFeatures]):
    """Makes a vector of each image by the backbone of a model of any task."""

    network: TaskModel[Any]
    needs_pixels = False

    def reduced_size(self) -> Reduced | None:
        """The size that an image is scaled to, where the task has one for all."""
        return getattr(self.preprocessing, "scaled_hw", None) or self.preprocessing.size_for

    def prepare(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """The network's input (channels, H, W) float32."""
        prepared = self.preprocessing(pixels, name=name)
        return prepared.values if isinstance(prepared, FittedImage) else prepared

    def results(
        self, batch: Sequence[InputImage[np.ndarray]], keep_images: bool
    ) -> list[ImageFeatures]:
        """Neighbors of one size in one forward pass."""
        found = []
        for _, same_size in groupby(batch, key=lambda image: image.prepared.shape):
            images = list(same_size)
            values = self.network.features(self.to_network([image.prepared for image in images]))
            vectors = values.float().cpu().numpy()
            found += [
                ImageFeatures(source=image.name, vector=vector)
                for image, vector in zip(images, vectors, strict=True)
            ]
        return found
