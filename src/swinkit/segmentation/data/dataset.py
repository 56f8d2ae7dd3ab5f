"""Images with their masks as tensors. B batch, C channels, H W map."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from swinkit.data.loading import EpochDataset
from swinkit.errors import ImageError
from swinkit.images.fitting import Fit
from swinkit.images.reading import read_image
from swinkit.segmentation.data.config import SegmentationAugmentation
from swinkit.segmentation.data.masks import IGNORE
from swinkit.segmentation.data.samples import SegmentationSample
from swinkit.segmentation.data.transforms import EvalTransform, Picture, SegmentationTransform

Item = tuple[Tensor, Tensor, int]  # image C H W, labels H W, index of the sample


class SegmentationDataset(EpochDataset):
    """Reads, varies and normalises; `dataset[i]` is (image C H W float32, labels H W int64, index).

    With augmentation every item has the size of the crop; what lies outside the image is the mean
    color and void. Without it images have the size of prediction, and the mask follows.

    Args:
        samples: images with masks.
        fit: the model's preprocessing.
        augmentation: None for evaluation.
        seed, on_bad_image: see EpochDataset.

    Raises:
        DataError: no sample.
    """

    def __init__(
        self,
        samples: Sequence[SegmentationSample],
        fit: Fit,
        augmentation: SegmentationAugmentation | None = None,
        *,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__(samples, seed=seed, on_bad_image=on_bad_image)
        self.fit = replace(fit, divisor=1)
        self.augmentation = augmentation
        self.evaluate = EvalTransform(self.fit)
        self.vary = None if augmentation is None else SegmentationTransform(augmentation, self.fit)

    def read(self, index: int) -> Item:
        """Image, labels and index of one sample. Raises ImageError."""
        picture = self.picture(index)
        if self.vary is None or self.augmentation is None:
            values, labels = self.evaluate(picture)
            return torch.from_numpy(values), _as_tensor(labels), index
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        image, labels = self.vary(picture, rng)
        values = self.fit.prepared(image, (labels.shape[0], labels.shape[1])).values
        crop_hw = self.augmentation.crop_hw
        return (*_padded(torch.from_numpy(values), _as_tensor(labels), crop_hw), index)

    def picture(self, index: int) -> Picture:
        """One sample as it is: (H, W, C) uint8 or float32 in 0..1, and its labels (H, W) uint8.

        Raises:
            ImageError: image or mask unreadable, or of different sizes.
        """
        sample: SegmentationSample = self.samples[index]
        image = read_image(sample.path, channels=self.fit.channels)
        labels = sample.labels()
        if image.shape[:2] != labels.shape:
            raise ImageError(
                f"{sample.mask_path}: the mask is {labels.shape[0]}x{labels.shape[1]} (height x "
                f"width), its image {image.shape[0]}x{image.shape[1]}; make them the same"
            )
        return image, labels


def collate_segmentation(items: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, C, H, W), labels (B, H, W) int64 and indices (B,) int64.

    Images of different sizes are padded to the largest, with the mean color and void.
    """
    height = max(image.shape[1] for image, _, _ in items)
    width = max(image.shape[2] for image, _, _ in items)
    padded = [_padded(image, labels, (height, width)) for image, labels, _ in items]
    images = torch.stack([image for image, _ in padded])
    labels = torch.stack([labels for _, labels in padded])
    return images, labels, torch.tensor([index for _, _, index in items])


def _as_tensor(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


def _padded(image: Tensor, labels: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    if tuple(labels.shape) == size_hw:
        return image, labels
    height, width = labels.shape
    canvas = image.new_zeros((image.shape[0], *size_hw))
    canvas[:, :height, :width] = image
    void = labels.new_full(size_hw, IGNORE)
    void[:height, :width] = labels
    return canvas, void
