"""Images without labels: found, split, varied and masked. C channels, H W pixels, h w patches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from swinkit.data.augmentation import crop_and_flip, normalize
from swinkit.data.bands import channels_of, recognize_bands
from swinkit.data.checking import bad_images
from swinkit.data.config import DataConfig
from swinkit.data.loading import EpochDataset
from swinkit.data.problems import image_problem
from swinkit.data.splits import SPLIT_ALIASES, Splits, fill_splits
from swinkit.errors import DataError
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import as_pixels, read_image
from swinkit.images.sources import find_images
from swinkit.pretraining.train_config import PretrainingAugmentation
from swinkit.task.base import FindImages

DrawMask = Callable[[np.random.RandomState], np.ndarray]
Item = tuple[Tensor, Tensor, int]  # image C H W, mask h w, index of the sample


@dataclass(frozen=True)
class PictureSample:
    """One image."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class PretrainingSplits(Splits[PictureSample]):
    """Images in splits; there are no classes."""

    class_names: tuple[str, ...] = ()

    def counts(self) -> dict[str, dict[str, int]]:
        """No class, so nothing to count."""
        return {name: {} for name in self.by_name()}


def pictures_below(config: DataConfig) -> dict[str, list[Path]]:
    """Every image below a folder, by split where folders at its top are named like splits.

    Raises:
        ImageError: no image there.
    """
    parts: dict[str, list[Path]] = {}
    for path in find_images(config.path):
        inside = path.relative_to(config.path).parts if config.path.is_dir() else ()
        split = SPLIT_ALIASES.get(inside[0].lower(), "train") if len(inside) > 1 else "train"
        parts.setdefault(split, []).append(path)
    named = {path.name.lower() for path in config.path.iterdir()} if config.path.is_dir() else set()
    return parts if named & set(SPLIT_ALIASES) else {"all": parts["train"]}


def load_pictures(config: DataConfig, find: FindImages) -> PretrainingSplits:
    """Find, check and split images; a validation split that is absent is taken from the rest.

    Args:
        config: where the data is and how to treat it.
        find: gives the images by split.

    Raises:
        DataError: too few images, or bad ones where they are refused.
    """
    parts = find(config)
    found = [path for paths in parts.values() for path in paths]
    config, seen = recognize_bands(config, found)
    bad = bad_images(found, config)
    good = {
        split: [PictureSample(path) for path in sorted(dict.fromkeys(paths)) if path not in bad]
        for split, paths in parts.items()
    }
    count = sum(map(len, good.values()))
    if count < 2:
        raise DataError(
            f"{config.path}: {count} image that can be read; pretraining needs two at least, one "
            "of them for validation"
        )
    problems = tuple(image_problem(path, reason) for path, reason in bad.items())
    kept = {split: samples for split, samples in good.items() if samples}
    splits = PretrainingSplits(problems=problems, notes=tuple(seen), channels=channels_of(config))
    return fill_splits(splits, kept, config)


class CropAndFlip:
    """A random crop of the network's size, mirrored by chance, normalized; bands of any number."""

    def __init__(self, config: PretrainingAugmentation, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.vary = v2.Compose(crop_and_flip(config, preprocessing.size_hw))

    def __call__(self, image: np.ndarray) -> Tensor:
        """(H, W, C) to (C, *size_hw) float32, drawing from PyTorch's global generator.

        Raises:
            ImageError: as `Preprocessing` does.
        """
        pixels = as_pixels(image, self.preprocessing.channels, f"array of shape {image.shape}")
        varied = self.vary(torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C")))
        return normalize(varied, self.preprocessing)


class MaskedImageDataset(EpochDataset):
    """Reads images and hides squares; `dataset[i]` is (image C H W float32, mask h w bool, index).

    Without augmentation an image's mask is the same in every epoch, so that epochs compare.

    Args:
        samples: images.
        preprocessing: of the model.
        draw_mask: of the model.
        augmentation: of training images; None prepares them as for prediction.
        seed, on_bad_image: see EpochDataset.
    """

    def __init__(
        self,
        samples: Sequence[PictureSample],
        preprocessing: Preprocessing,
        draw_mask: DrawMask,
        augmentation: PretrainingAugmentation | None = None,
        *,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__(samples, seed=seed, on_bad_image=on_bad_image)
        self.preprocessing = preprocessing
        self.draw_mask = draw_mask
        self.vary = None if augmentation is None else CropAndFlip(augmentation, preprocessing)

    def read(self, index: int) -> Item:
        """Image, mask and index of one sample. Raises ImageError."""
        path: Path = self.samples[index].path
        prepare = self.preprocessing
        if self.vary is None:
            pixels = read_image(path, channels=prepare.channels, reduced=prepare.scaled_hw)
            image, seed = torch.from_numpy(prepare(pixels, name=str(path))), index
        else:
            image = self.vary(read_image(path, channels=prepare.channels))
            seed = int(torch.randint(2**31, ()))
        mask = self.draw_mask(np.random.RandomState(seed))
        return image, torch.from_numpy(mask), index
