"""Images with their boxes and masks as tensors. B batch, C channels, H W map, G objects."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from swinkit.data.loading import EpochDataset
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.data.objects import Objects, tight_boxes
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.transforms import AnnotatedImage, DetectionTransform
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.errors import DataError, ImageError
from swinkit.images.fitting import Fit
from swinkit.images.reading import read_image
from swinkit.settings import SizeHW

logger = logging.getLogger(__name__)

Item = tuple[Tensor, InstanceTarget, int]  # image C H W, its objects, index of the sample


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionBatch:
    """Images of different sizes, padded to one.

    Attributes:
        images: (B, C, H, W) float32; zeros, which is the mean color, right of and below each.
        targets: the objects of each; `size_hw` is the image without padding, and masks have that
            size.
        indices: (B,) int64, the sample of each.
    """

    images: Tensor
    targets: list[InstanceTarget]
    indices: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def sizes_hw(self) -> list[SizeHW]:
        """The size of each image without padding."""
        return [target.size_hw for target in self.targets]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DetectionBatch":
        """The same on a device."""
        return DetectionBatch(
            images=self.images.to(device, non_blocking=non_blocking),
            targets=[target.to(device, non_blocking=non_blocking) for target in self.targets],
            indices=self.indices,
        )

    def pin_memory(self) -> "DetectionBatch":
        """The images in memory that a GPU copies from while it computes."""
        return replace(self, images=self.images.pin_memory())


class DetectionDataset(EpochDataset):
    """Reads, augments and normalizes; `dataset[i]` is (image C H W float32, InstanceTarget, index).

    Without augmentation images are prepared as for evaluation, so boxes times
    `sample.size_hw / target.size_hw` are in original pixels. Crowd regions, difficult objects and
    what a crop leaves too little of are in `target.ignored_xyxy`.

    Args:
        samples: images with objects.
        fit: the model's preprocessing; without augmentation also its size.
        augmentation: None for evaluation.
        masks: whether to give masks; they must exist then. Without them reading is faster.
        seed, on_bad_image: see EpochDataset.

    Raises:
        DataError: no sample, or masks are wanted and there are none.
    """

    def __init__(
        self,
        samples: Sequence[DetectionSample],
        fit: Fit,
        augmentation: DetectionAugmentation | None = None,
        *,
        masks: bool = False,
        seed: int = 0,
        on_bad_image: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__(samples, seed=seed, on_bad_image=on_bad_image)
        if masks and any(sample.segments is None for sample in samples):
            raise DataError(
                f"{samples[0].path}: the data set has boxes but no masks; choose a detector of "
                "boxes, such as faster_rcnn_swin_t"
            )
        self.fit = replace(fit, divisor=1)  # the batch is padded, not each image
        self.masks = masks
        self.transform = None if augmentation is None else DetectionTransform(augmentation)

    def read(self, index: int) -> Item:
        """Image, objects and index of one sample. Raises ImageError."""
        if self.transform is None:
            image, objects = self.annotated(index)
            fitted = self.fit(image, name=str(self.samples[index].path))
            return _as_item(fitted.values, objects.resized(fitted.size_hw), index)
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        image, objects = self.transform(self.annotated(index), rng, lambda: self._second(rng))
        return _as_item(self.fit.normalize(image, objects.size_hw).values, objects, index)

    def annotated(self, index: int) -> AnnotatedImage:
        """One sample as it is: (H, W, C) uint8 or float32 in 0..1, and its objects.

        An outline so thin that it covers no pixel's center makes its object one to ignore.

        Raises:
            ImageError: unreadable, or of another size than when the data set was loaded.
        """
        sample: DetectionSample = self.samples[index]
        image = read_image(sample.path, channels=self.fit.channels)
        if image.shape[:2] != sample.size_hw:
            swapped = image.shape[1::-1] == sample.size_hw
            what = "check it with scan, which minds how EXIF turns it" if swapped else "restore it"
            raise ImageError(
                f"{sample.path}: is {image.shape[0]}x{image.shape[1]} (height x width), was "
                f"{sample.size_hw[0]}x{sample.size_hw[1]} before; {what}"
            )
        rows = np.flatnonzero(~sample.is_flat)  # a box of no area teaches nothing
        masks = sample.masks(rows) if self.masks else None
        crowd = sample.is_crowd[rows]
        if masks is not None:
            crowd = crowd | ~masks.any(axis=(1, 2))
        return image, Objects(
            boxes_xyxy=sample.boxes_xyxy[rows],
            labels=sample.labels[rows],
            is_crowd=crowd,
            masks=masks,
            size_hw=sample.size_hw,
            box_only=sample.lacks_mask[rows] if self.masks else None,
        )

    def _second(self, rng: np.random.Generator) -> AnnotatedImage | None:
        """A picture to copy objects from; a bad one is remembered, and nothing is copied."""
        place = int(rng.integers(len(self.samples)))
        if self._bad[place]:
            return None
        try:
            return self.annotated(place)
        except ImageError as error:
            if self.on_bad_image == "refuse":
                raise
            self._bad[place] = True
            logger.warning("%s (nothing is pasted from it)", error)
            return None


def collate_detection(items: list[Item], divisor: int = 32) -> DetectionBatch:
    """Pad images to the largest height and width among them, rounded up to `divisor`.

    Args:
        items: what DetectionDataset gives, at least one.
        divisor: of the padded sides, in pixels.
    """
    height, width = (
        -(-max(item[0].shape[axis] for item in items) // divisor) * divisor for axis in (1, 2)
    )
    images = torch.zeros(len(items), items[0][0].shape[0], height, width)
    for image, (values, target, _) in zip(images, items, strict=True):
        image[:, : target.size_hw[0], : target.size_hw[1]] = values
    return DetectionBatch(
        images=images,
        targets=[target for _, target, _ in items],
        indices=torch.tensor([index for _, _, index in items]),
    )


def _as_item(values: np.ndarray, objects: Objects, index: int) -> Item:
    crowd = objects.is_crowd
    if objects.masks is not None:
        # A resize to few pixels can leave nothing of a mask; there is then nothing to learn.
        crowd = crowd | ~tight_boxes(objects.masks).any(axis=1)
    real = objects.take(~crowd)
    masks = None if real.masks is None else torch.from_numpy(np.ascontiguousarray(real.masks))
    box_only = real.box_only if real.box_only is not None and real.box_only.any() else None
    target = InstanceTarget(
        boxes_xyxy=torch.from_numpy(real.boxes_xyxy.astype(np.float32)),
        labels=torch.from_numpy(real.labels.copy()),
        size_hw=objects.size_hw,
        masks=masks,
        box_only=None if box_only is None else torch.from_numpy(box_only.copy()),
        ignored_xyxy=torch.from_numpy(objects.boxes_xyxy[crowd].astype(np.float32)),
    )
    return torch.from_numpy(values), target, index
