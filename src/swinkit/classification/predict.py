"""From images to their classes. B batch, C channels, K classes, H W pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from swinkit.classification.network import ClassificationNetwork
from swinkit.classification.result import Classification
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.base import OnError
from swinkit.task.predicting import (
    InputImage,
    Source,
    Stopwatch,
    device_and_dtype,
    list_sources,
    predict_each,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationPredictor:
    """Classifies images by one network with one choice of settings.

    Attributes:
        network: takes the images that `prepare` makes.
        class_names: K names.
        prepare: how images are prepared.
        batch_size: images in one forward pass.
    """

    network: ClassificationNetwork
    class_names: tuple[str, ...]
    prepare: Preprocessing
    batch_size: int

    def predict_iter(
        self,
        source: Source,
        *,
        on_error: OnError,
        device: str | torch.device | None,
        keep_images: bool,
    ) -> Iterator[Classification]:
        """The classes of images, one by one; see `SwinClassifier.predict`."""
        return predict_each(
            self.network,
            list_sources(source),
            lambda pixels, name: self.prepare(pixels, name=name),
            lambda batch: self._results(batch, keep_images),
            channels=self.prepare.channels,
            batch_size=self.batch_size,
            on_error=on_error,
            device=device,
        )

    def _results(
        self, batch: list[InputImage[np.ndarray]], keep_images: bool
    ) -> list[Classification]:
        watch = Stopwatch()
        values = torch.from_numpy(np.stack([image.prepared for image in batch]))
        logits = self.network(values.to(*device_and_dtype(self.network)))
        probabilities = logits.float().softmax(-1).cpu().numpy()
        seconds = watch.share(len(batch))
        return [
            Classification(
                class_names=self.class_names,
                probabilities=row,
                source=image.name,
                image_rgb=image.picture(keep_images),
                seconds=seconds,
            )
            for image, row in zip(batch, probabilities, strict=True)
        ]
