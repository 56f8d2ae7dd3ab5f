"""Images with their labels as tensors. C channels, H W map."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from swinkit.classification.data.samples import Sample
from swinkit.classification.data.transforms import Transform
from swinkit.data.loading import EpochDataset
from swinkit.images.reading import read_image

Item = tuple[Tensor, int, int]  # image C H W, label, index of the sample


class ClassificationDataset(EpochDataset):
    """Reads, varies and labels images; `dataset[i]` is (image C H W float32, label, index).

    Args:
        samples: images with labels.
        transform: (H, W, C) array to C H W tensor.
        channels: channels to read.
        seed, on_bad_image: see EpochDataset; the next good sample keeps its own label and index.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        *,
        channels: int = 3,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__(samples, seed=seed, on_bad_image=on_bad_image)
        self.transform = transform
        self.channels = channels

    def read(self, index: int) -> Item:
        """Image, label and index of one sample. Raises ImageError."""
        sample: Sample = self.samples[index]
        image = read_image(sample.path, channels=self.channels)
        return self.transform(image), sample.label, index
