"""Images with their masks as tensors, and their augmentation. B batch, C channels, H W map."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swinkit.data.loading import EpochDataset
from swinkit.data.photometric import jitter_colors
from swinkit.errors import ImageError
from swinkit.images.fitting import Fit, resize_linear, resize_nearest
from swinkit.images.reading import read_image
from swinkit.segmentation.data.masks import IGNORE
from swinkit.segmentation.data.splits import SegmentationSample
from swinkit.segmentation.train_config import SegmentationAugmentation
from swinkit.settings import SizeHW

TRIES = 10  # crops drawn until no class dominates

LabeledImage = tuple[np.ndarray, np.ndarray]  # image H W C, labels H W uint8
Window = tuple[int, int, int, int]  # left, top, right, bottom
Item = tuple[Tensor, Tensor, int]  # image C H W, labels H W, index of the sample


class SegmentationTransform:
    """Random scale, crop, flips and colors (2103.14030, section 4.3).

    The scale and the crop are one cut and one resize of the original pixels.

    Args:
        config: of the augmentation.
        fit: the model's preprocessing, to whose size the scale is relative.
    """

    def __init__(self, config: SegmentationAugmentation, fit: Fit) -> None:
        self.config = config
        self.fit = fit

    def __call__(self, labeled: LabeledImage, rng: np.random.Generator) -> LabeledImage:
        """Augment one image; the answer is at most `crop_hw` large."""
        config = self.config
        image, labels = labeled
        original_hw = (labels.shape[0], labels.shape[1])
        scaled_hw = self.scaled_size(original_hw, float(rng.uniform(*config.scale)))
        crop_hw = (min(config.crop_hw[0], scaled_hw[0]), min(config.crop_hw[1], scaled_hw[1]))
        left, top, right, bottom = self._window(labels, scaled_hw, crop_hw, rng)
        image = resize_linear(image[top:bottom, left:right], crop_hw)
        labels = resize_nearest(labels[top:bottom, left:right], crop_hw)
        if rng.random() < config.horizontal_flip:
            image, labels = image[:, ::-1], labels[:, ::-1]
        if rng.random() < config.vertical_flip:
            image, labels = image[::-1], labels[::-1]
        if rng.random() < config.photometric_probability:
            image = jitter_colors(image, rng, config.photometric_strength)
        return image, labels

    def scaled_size(self, original_hw: SizeHW, factor: float) -> SizeHW:
        """The size of evaluation times a factor, aspect kept."""
        base_hw = self.fit.size_for(original_hw)
        height, width = (max(1, int(side * factor + 0.5)) for side in base_hw)
        return height, width

    def _window(
        self,
        labels: np.ndarray,
        scaled_hw: SizeHW,
        crop_hw: SizeHW,
        rng: np.random.Generator,
    ) -> Window:
        """A crop in pixels of the original in which no class dominates, if one is found."""
        sides = [
            max(1, round(crop * present / scaled))
            for crop, present, scaled in zip(crop_hw, labels.shape, scaled_hw, strict=True)
        ]
        window = (0, 0, 0, 0)
        for _ in range(TRIES):
            top = int(rng.integers(0, max(labels.shape[0] - sides[0], 0) + 1))
            left = int(rng.integers(0, max(labels.shape[1] - sides[1], 0) + 1))
            window = (left, top, left + sides[1], top + sides[0])
            if self.config.dominance >= 1 or not self._dominated(
                labels[top : top + sides[0], left : left + sides[1]]
            ):
                break
        return window

    def _dominated(self, labels: np.ndarray) -> bool:
        counts = np.bincount(labels.reshape(-1), minlength=IGNORE + 1)[:IGNORE]
        return int(counts.max()) >= self.config.dominance * int(counts.sum())


class SegmentationDataset(EpochDataset):
    """Reads, augments, normalizes; `dataset[i]` is (image C H W float32, labels H W int64, index).

    With augmentation every item has the size of the crop; what lies outside the image is the mean
    color and void. Without it images are as prediction prepares them, and the labels are those of
    the original pixels.

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
        self.fit = fit
        self.transform = None
        if augmentation is not None:
            self.transform = SegmentationTransform(augmentation, fit)

    def read(self, index: int) -> Item:
        """Image, labels and index of one sample. Raises ImageError."""
        image, labels = self.labeled(index)
        if self.transform is None:
            return torch.from_numpy(self.fit(image).values), _as_tensor(labels), index
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        image, labels = self.transform((image, labels), rng)
        unpadded = replace(self.fit, divisor=1)
        values = unpadded.normalize(image, (labels.shape[0], labels.shape[1])).values
        crop_hw = self.transform.config.crop_hw
        return (
            _padded(torch.from_numpy(values), crop_hw, 0),
            _padded(_as_tensor(labels), crop_hw, IGNORE),
            index,
        )

    def labeled(self, index: int) -> LabeledImage:
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
    """Images (B, C, H, W), labels (B, H', W') int64 and indices (B,) int64.

    Images of different sizes are padded to the largest with the mean color, labels with void.
    """
    images, labels, indices = zip(*items, strict=True)
    return _stacked(images, 0), _stacked(labels, IGNORE), torch.tensor(indices)


def _as_tensor(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


def _stacked(maps: Sequence[Tensor], fill: int) -> Tensor:
    size_hw = max(each.shape[-2] for each in maps), max(each.shape[-1] for each in maps)
    return torch.stack([_padded(each, size_hw, fill) for each in maps])


def _padded(maps: Tensor, size_hw: SizeHW, fill: int) -> Tensor:
    """Filled to the right and below."""
    height, width = maps.shape[-2:]
    if (height, width) == size_hw:
        return maps
    return functional.pad(maps, (0, size_hw[1] - width, 0, size_hw[0] - height), value=fill)
