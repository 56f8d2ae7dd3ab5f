"""From images to their classes. B batch, C channels, K classes, H W pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swinkit.classification.network import ClassificationNetwork
from swinkit.classification.result import Classification
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.predicting import InputImage, Predictor, Stopwatch


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationPredictor(Predictor[Preprocessing, np.ndarray, Classification]):
    """Classifies images."""

    network: ClassificationNetwork

    def prepare(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """The network's input (C, H, W) float32."""
        return self.preprocessing(pixels, name=name)

    def results(
        self, batch: Sequence[InputImage[np.ndarray]], keep_images: bool
    ) -> list[Classification]:
        """All images of a batch in one forward pass."""
        watch = Stopwatch()
        logits = self.network(self.to_network([image.prepared for image in batch]))
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
