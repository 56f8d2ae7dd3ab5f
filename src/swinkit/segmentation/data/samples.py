"""Images with their masks, in splits. H W map, K classes; NumPy only."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problem, describe_problems
from swinkit.data.tables import align
from swinkit.segmentation.data.masks import IGNORE, MaskCoding, read_labels


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationSample:
    """One image and its mask.

    Attributes:
        path: the image file.
        mask_path: the mask file.
        coding: what the mask's numbers or colors mean.
        size_hw: (height, width) of the image in pixels, upright.
        pixels: (K,) labelled pixels of each class; None where the masks were not scanned.
    """

    path: Path
    mask_path: Path
    coding: MaskCoding
    size_hw: tuple[int, int]
    pixels: np.ndarray | None = None

    def labels(self) -> np.ndarray:
        """(H, W) uint8, 255 where a pixel does not count.

        Raises:
            ImageError: an unreadable mask.
        """
        return read_labels(self.mask_path, self.coding)


@dataclass(frozen=True, kw_only=True)
class SegmentationSplits:
    """The samples of each split.

    Attributes:
        train, val: samples, sorted by path.
        test: the same, or None where there is no test split.
        class_names: K names; a mask's label is an index into them.
        palette: (K, 3) uint8 colors that the data set gives its classes, or None.
        kind: "masks", "ade20k", "cityscapes", "coco-panoptic" or "coco-semantic".
        notes: what was found on the way that a person should know, one line each.
        problems: what was wrong, item by item.
        ignore_index: label of pixels that do not count.
    """

    train: list[SegmentationSample]
    val: list[SegmentationSample]
    test: list[SegmentationSample] | None
    class_names: tuple[str, ...]
    palette: np.ndarray | None = None
    kind: str = "masks"
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    ignore_index: int = IGNORE

    def by_name(self) -> dict[str, list[SegmentationSample]]:
        """The splits that exist, under their names."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    def counts(self) -> dict[str, dict[str, int]]:
        """Labelled pixels per class, per split; zeros where the masks were not scanned."""
        found = {}
        for name, samples in self.by_name().items():
            pixels = class_pixels(samples, len(self.class_names))
            found[name] = dict(zip(self.class_names, pixels.tolist(), strict=True))
        return found

    def class_weights(self) -> np.ndarray:
        """(K,) float32 weights of a loss by median frequency balancing, mean 1.

        A class's frequency is its part of the pixels of the training images that show it; its
        weight is the median of all frequencies over its own (1411.4734, section 6.3.2).
        """
        classes = len(self.class_names)
        held = [sample.pixels for sample in self.train if sample.pixels is not None]
        pixels = np.array(held, np.float64).reshape(-1, classes)  # images K
        where = ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
        frequency = pixels.sum(0) / np.maximum(where, 1)
        seen = frequency > 0
        weights = np.ones(classes)
        if seen.any():
            weights[seen] = np.median(frequency[seen]) / frequency[seen]
        return (weights / weights.mean()).astype(np.float32)

    def summary(self) -> str:
        """A table of plain text, each class's part of the labelled pixels by split, followed by
        the notes and problems."""
        splits, counts = self.by_name(), self.counts()
        totals = {name: max(sum(count.values()), 1) for name, count in counts.items()}
        rows = [["class", *splits]]
        for name in self.class_names:
            rows.append([name, *(f"{100 * counts[s][name] / totals[s]:.2f} %" for s in splits)])
        rows.append(["void", *(_void(samples) for samples in splits.values())])
        rows.append(["images", *(str(len(samples)) for samples in splits.values())])
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([*align(rows), *notes, *describe_problems(self.problems)])


def class_pixels(samples: list[SegmentationSample], classes: int) -> np.ndarray:
    """(K,) int64: labelled pixels of each class over samples that were scanned."""
    total = np.zeros(classes, np.int64)
    for sample in samples:
        if sample.pixels is not None:
            total += sample.pixels
    return total


def _void(samples: list[SegmentationSample]) -> str:
    """Part of all pixels without a label."""
    scanned = [sample for sample in samples if sample.pixels is not None]
    area = sum(sample.size_hw[0] * sample.size_hw[1] for sample in scanned)
    labelled = sum(int(sample.pixels.sum()) for sample in scanned if sample.pixels is not None)
    return f"{100 * (1 - labelled / max(area, 1)):.2f} %" if scanned else "?"
