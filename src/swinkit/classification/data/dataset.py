"""Images with their labels as tensors, and their augmentation. C channels, H W map."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from swinkit.classification.data.splits import ClassificationSample
from swinkit.classification.train_config import AugmentationConfig
from swinkit.data.augmentation import crop_and_flip, normalize
from swinkit.data.loading import EpochDataset
from swinkit.data.photometric import jitter_colors
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import as_pixels, read_image, to_8bit

Transform = Callable[[np.ndarray], Tensor]

MAGNITUDE_STEPS = 100  # of RandAugment's scale 0..10, so that a strength of 9.3 exists

Item = tuple[Tensor, int, int]  # image C H W, label, index of the sample


class ClassificationDataset(EpochDataset):
    """Reads, augments and labels images; `dataset[i]` is (image C H W float32, label, index).

    Args:
        samples: images with labels.
        transform: (H, W, C) array to C H W tensor.
        channels: channels to read.
        seed, on_bad_image: see EpochDataset; the next good sample keeps its own label and index.
    """

    def __init__(
        self,
        samples: Sequence[ClassificationSample],
        transform: Transform,
        *,
        channels: int = 3,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__(samples, seed=seed, on_bad_image=on_bad_image)
        self.transform = transform
        self.channels = channels
        # Crops for training need every pixel.
        self.reduced = (
            transform.preprocessing.scaled_hw if isinstance(transform, EvalTransform) else None
        )

    def read(self, index: int) -> Item:
        """Image, label and index of one sample. Raises ImageError."""
        sample: ClassificationSample = self.samples[index]
        image = read_image(sample.path, channels=self.channels, reduced=self.reduced)
        return self.transform(image), sample.label, index


class EvalTransform:
    """The model's own preprocessing, as a tensor."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, image: np.ndarray) -> Tensor:
        """(H, W, C) to (C, *size_hw) float32."""
        return torch.from_numpy(self.preprocessing(image))


class TrainTransform:
    """The recipe of the paper, section 4.1: a random crop, flip, RandAugment, random erasing.

    RGB and gray images take the way through Pillow, as evaluation does. RandAugment and color
    jitter work on 8 bits, so finer images are rounded to 8 bits where one of them is on. Both
    assume colors: images of other bands, and those that use few of their bits, get
    `jitter_colors` in their place, as strong as the color jitter, or as half of RandAugment.
    """

    def __init__(self, config: AugmentationConfig, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.pictures = preprocessing.has_colors
        self.band_jitter = 0.0
        if not self.pictures:
            self.band_jitter = config.color_jitter or (0.5 if config.rand_augment_ops else 0.0)
        self.colors = self.pictures and (config.rand_augment_ops > 0 or config.color_jitter > 0)
        self.geometry = v2.Compose(crop_and_flip(config, preprocessing.size_hw))
        self.color = v2.Compose(_color(config, preprocessing) if self.colors else [_nothing()])
        chance = config.erasing_probability
        self.erase = v2.RandomErasing(p=chance, scale=(0.02, 1 / 3), value="random")

    def __call__(self, image: np.ndarray) -> Tensor:
        """(H, W, C) to (C, *size_hw) float32, drawing from PyTorch's global generator.

        Raises:
            ImageError: as `Preprocessing` does.
        """
        pixels = as_pixels(image, self.preprocessing.channels, f"array of shape {image.shape}")
        if self.colors:
            pixels = to_8bit(pixels)
        if self.band_jitter:
            rng = np.random.default_rng(int(torch.randint(2**62, ())))
            pixels = jitter_colors(pixels, rng, self.band_jitter)
        augmented = self.color(self.geometry(self._prepared(pixels)))
        normalized = normalize(augmented, self.preprocessing)
        return self.erase(normalized) if self.erase.p else normalized

    def _prepared(self, pixels: np.ndarray) -> Image.Image | Tensor:
        if self.pictures and pixels.dtype == np.uint8:
            flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
            return Image.fromarray(np.ascontiguousarray(flat))
        return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


class SpreadRandAugment(v2.Transform):
    """RandAugment as the paper's code runs it: "m9, mstd0.5" with each operation at a chance.

    Drawn anew for each image: how many of `rand_augment_ops` operations are applied, a binomial,
    and their strength, normal around `rand_augment_magnitude` on a scale of 0 to 10. Operations and
    ranges are torchvision's.
    """

    def __init__(self, config: AugmentationConfig, fill: list[int]) -> None:
        super().__init__()
        self.config = config
        self.fill = fill

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        config = self.config
        chance = config.rand_augment_probability
        count = int((torch.rand(config.rand_augment_ops) < chance).sum())
        if count == 0:
            return image
        strength = torch.normal(config.rand_augment_magnitude, config.rand_augment_std, (1,))
        augment = v2.RandAugment(
            num_ops=count,
            magnitude=round(float(strength.clamp(0, 10)) * MAGNITUDE_STEPS / 10),
            num_magnitude_bins=MAGNITUDE_STEPS + 1,
            interpolation=InterpolationMode(config.interpolation),
            fill=self.fill,
        )
        return augment(image)


def train_transform(config: AugmentationConfig, preprocessing: Preprocessing) -> Transform:
    """The augmentation of training images; see `TrainTransform`. Where all of it is off, the
    model's own preprocessing."""
    plain = AugmentationConfig.off()
    names = (
        *("crop_scale", "crop_ratio", "horizontal_flip", "vertical_flip"),
        *("rand_augment_ops", "color_jitter", "erasing_probability"),
    )
    if all(getattr(config, name) == getattr(plain, name) for name in names):
        return EvalTransform(preprocessing)
    return TrainTransform(config, preprocessing)


def _color(config: AugmentationConfig, preprocessing: Preprocessing) -> list[v2.Transform]:
    steps: list[v2.Transform] = []
    if config.rand_augment_ops > 0:
        fill = [round(255 * value) for value in preprocessing.mean]
        steps.append(SpreadRandAugment(config, fill))
    if config.color_jitter > 0:
        strength = config.color_jitter
        steps.append(v2.ColorJitter(strength, strength, strength))
    return steps


def _nothing() -> v2.Transform:
    return v2.Identity()
