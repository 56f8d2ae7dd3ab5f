"""From a path to checked images with their masks, in splits. H W map, K classes; NumPy only."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from swinkit.data.bands import channels_of, recognize_bands
from swinkit.data.config import DataConfig
from swinkit.data.problems import Problems, image_problem, refuse_unsound
from swinkit.data.scan import check_images
from swinkit.data.splits import SPLIT_NAMES, Splits, fill_splits, load_samples, name_some
from swinkit.errors import DataError
from swinkit.images.sources import passed_over
from swinkit.segmentation.data.files import MaskFiles, require_mask_files
from swinkit.segmentation.data.folders import Layers, Pair
from swinkit.segmentation.data.layers import read_layers
from swinkit.segmentation.data.mask_values import (
    BLACK_AND_WHITE,
    MaskFacts,
    Meaning,
    infer_meaning,
    scan_masks,
)
from swinkit.segmentation.data.masks import IGNORE, LabelTable, read_labels, unpack
from swinkit.settings import SizeHW

PROBED = 16  # masks that are read where the scan is off


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationSample:
    """One image and its mask.

    Attributes:
        path: the image file.
        mask_path: the mask file.
        table: what the mask's numbers or colors mean.
        layers: label and file of each class's own mask, where the classes have one each.
        size_hw: (height, width) of the image in pixels, upright.
        pixels: (K,) labeled pixels of each class; None where the masks were not scanned.
    """

    path: Path
    mask_path: Path
    table: LabelTable
    size_hw: SizeHW
    layers: Layers = ()
    pixels: np.ndarray | None = None

    def labels(self) -> np.ndarray:
        """(H, W) uint8, 255 where a pixel does not count.

        Raises:
            ImageError: an unreadable mask.
        """
        if self.layers:
            return self.table.labels_of(read_layers(self.layers).codes)
        return read_labels(self.mask_path, self.table)


Parts = dict[str, list[SegmentationSample]]


@dataclass(frozen=True, kw_only=True)
class SegmentationSplits(Splits[SegmentationSample]):
    """Images with their masks, in splits.

    Attributes:
        palette: (K, 3) uint8 colors that the data set gives its classes, or None.
        kind: "masks", "ade20k", "cityscapes", "coco-panoptic" or "coco-semantic".
        ignore_index: label of pixels that do not count.
    """

    palette: np.ndarray | None = None
    kind: str = "masks"
    ignore_index: int = IGNORE

    def counts(self) -> dict[str, dict[str, int]]:
        """Labeled pixels per class, per split; zeros where the masks were not scanned."""
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

    def _summary_rows(self) -> list[list[str]]:
        """Each class's part of the labeled pixels, by split."""
        splits, counts = self.by_name(), self.counts()
        totals = {name: max(sum(count.values()), 1) for name, count in counts.items()}
        return [
            *(
                [name, *(f"{100 * counts[s][name] / totals[s]:.2f} %" for s in splits)]
                for name in self.class_names
            ),
            ["void", *(_void(samples) for samples in splits.values())],
            ["images", *(str(len(samples)) for samples in splits.values())],
        ]


def class_pixels(samples: list[SegmentationSample], classes: int) -> np.ndarray:
    """(K,) int64: labeled pixels of each class over samples that were scanned."""
    total = np.zeros(classes, np.int64)
    for sample in samples:
        if sample.pixels is not None:
            total += sample.pixels
    return total


def _void(samples: list[SegmentationSample]) -> str:
    """Part of all pixels without a label."""
    scanned = [sample for sample in samples if sample.pixels is not None]
    area = sum(sample.size_hw[0] * sample.size_hw[1] for sample in scanned)
    labeled = sum(int(sample.pixels.sum()) for sample in scanned if sample.pixels is not None)
    return f"{100 * (1 - labeled / max(area, 1)):.2f} %" if scanned else "?"


def load_segmentation(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> SegmentationSplits:
    """Find, check and split images with masks.

    What is not sound is left out and listed in `problems`. Splits that the data set does not have
    are taken from its training images by the fractions of `config`.

    Args:
        config: where the data is and how to treat it; `strict` refuses any problem.
        class_names: the model's classes and their order; None takes those of the data set.

    Raises:
        DataError: nothing there, no usable training image, a class that `class_names` does not
            hold, or problems where they are refused.
    """
    loaded, parts = load_parts(config, class_names)
    filled = fill_splits(loaded, {name: part for name, part in parts.items() if part}, config)
    if any(sample.pixels is None for sample in filled.train):
        return filled
    seen = class_pixels(filled.train, len(filled.class_names)) > 0
    shown = [name for name, here in zip(filled.class_names, seen, strict=True) if here]
    if len(shown) < 2:
        raise DataError(
            f"{config.path}: the training masks hold only one class ({name_some(shown)}), so there "
            "is nothing to learn; check the masks' values and the list of classes"
        )
    absent = [name for name in filled.class_names if name not in shown]
    if not absent:
        return filled
    note = f"{config.path}: no training mask holds {name_some(absent)}"
    return replace(filled, notes=(*filled.notes, note))


def load_parts(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> tuple[SegmentationSplits, Parts]:
    """What the files hold, split as they split it ("all" where they do not); for inspection.

    Returns:
        The data set without samples, and its samples by split.

    Raises:
        DataError: as `load_segmentation`.
    """
    path = config.path.expanduser()
    files = require_mask_files(path)
    problems = Problems()
    problems.items += files.problems
    for image in files.pairs.without_mask:
        problems.add("missing mask", image, "left out")
    for mask in files.pairs.without_image:
        problems.add("missing image", mask, "left out")
    facts = _scan(files, config)
    meaning = _renamed(_meaning(files, facts, path), class_names, path)
    checker = _Checker(files, meaning, facts, problems)
    images = [pair.path for pairs in files.pairs.by_split.values() for pair in pairs]
    config, seen = recognize_bands(config, images)
    checked = check_images(images, scan=config.scan, channels=channels_of(config))
    parts = {
        split: [s for pair in pairs if (s := checker.sample(pair, checked[pair.path])) is not None]
        for split, pairs in files.pairs.by_split.items()
    }
    parts = {name: parts[name] for name in (*SPLIT_NAMES, "all") if name in parts}
    refuse_unsound(config, problems)
    palette = None if meaning.palette is None else np.array(meaning.palette, np.uint8)
    loaded = SegmentationSplits(
        class_names=meaning.names,
        palette=palette,
        kind=files.kind,
        channels=channels_of(config),
        notes=(*files.pairs.notes, *seen, *meaning.notes, *_remarks(files, path)),
        problems=tuple(problems),
    )
    return loaded, parts


# The samples to evaluate a trained model on, and the data set they come from.
load_segmentation_samples = partial(load_samples, load_parts)


def _scan(files: MaskFiles, config: DataConfig) -> dict[Path, MaskFacts | str]:
    pairs = [pair for found in files.pairs.by_split.values() for pair in found]
    if config.scan == "none":
        # Evenly spread, so that every split and every part of it is among them.
        pairs = pairs[:: max(1, len(pairs) // PROBED)]
    return scan_masks(pairs)


def _remarks(files: MaskFiles, path: Path) -> list[str]:
    """What has no use: images of splits without masks, and files that are no images."""
    unlabeled = files.pairs.unlabeled
    notes = []
    if unlabeled:
        names = name_some([image.name for image in unlabeled], most=3)
        notes.append(
            f"{path}: {len(unlabeled)} images of splits without masks were left out ({names})"
        )
    if files.kind == "masks":
        notes += [f"{path}: {note}" for note in passed_over(path, files.pairs.lists)]
    return notes


def _meaning(files: MaskFiles, facts: dict[Path, MaskFacts | str], path: Path) -> Meaning:
    if files.known is not None:
        known = files.known
        table = known.table or LabelTable.of("color", {0: IGNORE})
        return Meaning(known.names, table, known.palette)
    sound = [item for item in facts.values() if not isinstance(item, str)]
    if not sound:
        reason = next((item for item in facts.values() if isinstance(item, str)), "")
        raise DataError(f"{path}: no mask can be read ({reason}); repair them")
    return infer_meaning(sound, files.legend, path)


def _renamed(meaning: Meaning, wanted: tuple[str, ...] | None, path: Path) -> Meaning:
    """The same masks in terms of a model's classes.

    Raises:
        DataError: a class that the model does not know.
    """
    if wanted is None or wanted == meaning.names:
        return meaning
    numbered = all(name == f"class {place}" for place, name in enumerate(meaning.names))
    unnamed = meaning.names == BLACK_AND_WHITE and len(wanted) == 2
    if (numbered and len(meaning.names) <= len(wanted)) or unnamed:
        return replace(meaning, names=wanted)
    unknown = [name for name in meaning.names if name not in wanted]
    if unknown:
        raise DataError(
            f"{path}: has the class {unknown[0]!r}, unknown to the model "
            f"({name_some(wanted)}); rename or remove it, or evaluate with --class-names"
        )
    places = np.full(256, IGNORE, np.uint8)
    places[: len(meaning.names)] = [wanted.index(name) for name in meaning.names]
    table = replace(meaning.table, labels=places[meaning.table.labels])
    return replace(meaning, names=wanted, table=table, palette=None)


@dataclass(frozen=True, eq=False)
class _Checker:
    """Samples of sound pairs, and problems of the others."""

    files: MaskFiles
    meaning: Meaning
    facts: dict[Path, MaskFacts | str]
    problems: Problems

    def sample(self, pair: Pair, size_hw: SizeHW | str) -> SegmentationSample | None:
        facts = self.facts.get(pair.mask_path)
        if isinstance(size_hw, str):
            self.problems.items.append(image_problem(pair.path, f"{size_hw}; left out"))
            return None
        if isinstance(facts, str):
            self.problems.add("bad mask", pair.mask_path, f"{facts}; left out")
            return None
        table = self._table(pair.mask_path)
        pixels = None
        if facts is not None:
            if facts.size_hw != size_hw:
                self.problems.add(
                    "mask of another size",
                    pair.mask_path,
                    f"{facts.size_hw[0]}x{facts.size_hw[1]} (height x width), its image "
                    f"{size_hw[0]}x{size_hw[1]}; left out",
                )
                return None
            if facts.overlap:
                done = f"{facts.overlap} pixels are of several classes; the later class was taken"
                self.problems.add("masks that overlap", pair.mask_path, done)
            pixels = self._pixels(pair.mask_path, facts, table)
            if not pixels.any():
                self.problems.add("mask without labels", pair.mask_path, "all void; left out")
                return None
        return SegmentationSample(
            path=pair.path,
            mask_path=pair.mask_path,
            layers=pair.layers,
            table=table,
            size_hw=size_hw,
            pixels=pixels,
        )

    def _table(self, mask: Path) -> LabelTable:
        known = self.files.known
        return self.meaning.table if known is None else known.tables.get(mask, self.meaning.table)

    def _pixels(self, mask: Path, facts: MaskFacts, table: LabelTable) -> np.ndarray:
        """(K,) labeled pixels; codes without a meaning are reported."""
        codes = facts.codes_as(table.kind)
        unknown = ~table.knows(codes)
        if unknown.any():
            first = int(codes[unknown][0])
            value = f"color {unpack(first)}" if table.kind == "color" else f"value {first}"
            count, kinds = int(facts.counts[unknown].sum()), int(unknown.sum())
            more = f" and {kinds - 1} other values" if kinds > 1 else ""
            self.problems.add(
                "label outside the classes", mask, f"{value}{more}: {count} pixels taken as void"
            )
        labels = table.labels_of(codes)
        pixels = np.bincount(labels, facts.counts, minlength=IGNORE + 1)[: len(self.meaning.names)]
        return pixels.astype(np.int64)
