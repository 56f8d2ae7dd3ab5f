"""From a path to checked, split images with masks."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swinkit.data.config import DataConfig
from swinkit.data.headers import check_images
from swinkit.data.problems import Problems, refuse_bad_images, refuse_problems
from swinkit.data.splitting import choose_split, complete_splits, name_some
from swinkit.errors import DataError
from swinkit.segmentation.data.folders import Pair
from swinkit.segmentation.data.layouts import Layout, require_layout
from swinkit.segmentation.data.mask_values import MaskFacts, Meaning, find_meaning, scan_masks
from swinkit.segmentation.data.masks import IGNORE, MaskCoding, unpack
from swinkit.segmentation.data.samples import SegmentationSample, SegmentationSplits

PROBED = 16  # masks that are looked at where the scan is off

Parts = dict[str, list[SegmentationSample]]


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
    notes = list(loaded.notes)
    sound = {split: samples for split, samples in parts.items() if samples}
    complete = complete_splits(sound, config, notes)
    return replace(
        loaded,
        train=complete["train"],
        val=complete["val"],
        test=complete.get("test"),
        notes=tuple(notes),
    )


def load_segmentation_samples(
    path: str | Path, class_names: tuple[str, ...] | None = None, *, split: str | None = None
) -> tuple[list[SegmentationSample], SegmentationSplits]:
    """The samples to evaluate a trained model on, or to look at.

    Args:
        path: anything that `load_segmentation` reads.
        class_names: the model's classes; None takes those of the data set.
        split: "train", "val" or "test"; None takes the test split, else the validation split,
            else, where there are no splits, every image.

    Returns:
        The samples, and the data set they come from: its names, notes and problems.

    Raises:
        DataError: no such split, or a class that the model does not know.
    """
    config = DataConfig(path=Path(path))
    loaded, parts = load_parts(config, class_names)
    return choose_split(parts, split, config.path), loaded


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
    layout = require_layout(path)
    problems = Problems()
    for image in layout.pairs.without_mask:
        problems.add("missing mask", image, "left out")
    for mask in layout.pairs.without_image:
        problems.add("missing image", mask, "left out")
    facts = _scan(layout, config)
    meaning = _renamed(_meaning(layout, facts, path), class_names, path)
    builder = _Builder(layout, meaning, facts, problems)
    images = [pair.path for pairs in layout.pairs.by_split.values() for pair in pairs]
    checked = check_images(images, scan=config.scan, channels=config.channels)
    parts = {
        split: [s for pair in pairs if (s := builder.sample(pair, checked[pair.path])) is not None]
        for split, pairs in layout.pairs.by_split.items()
    }
    if config.on_bad_image == "refuse":
        refuse_bad_images(path, problems)
    if config.strict:
        refuse_problems(path, problems)
    palette = None if meaning.palette is None else np.array(meaning.palette, np.uint8)
    loaded = SegmentationSplits(
        train=[],
        val=[],
        test=None,
        class_names=meaning.names,
        palette=palette,
        kind=layout.kind,
        notes=meaning.notes,
        problems=tuple(problems),
    )
    return loaded, parts


def _scan(layout: Layout, config: DataConfig) -> dict[Path, MaskFacts | str]:
    masks = [pair.mask_path for pairs in layout.pairs.by_split.values() for pair in pairs]
    if config.scan == "none":
        # Evenly spread, so that every split and every part of it is among them.
        masks = masks[:: max(1, len(masks) // PROBED)]
    return scan_masks(masks)


def _meaning(layout: Layout, facts: dict[Path, MaskFacts | str], path: Path) -> Meaning:
    if layout.known is not None:
        known = layout.known
        coding = known.coding or MaskCoding.of("color", {0: IGNORE})
        return Meaning(known.names, coding, known.palette)
    sound = [item for item in facts.values() if not isinstance(item, str)]
    if not sound:
        reason = next((item for item in facts.values() if isinstance(item, str)), "")
        raise DataError(f"{path}: no mask can be read ({reason}); repair them")
    return find_meaning(sound, layout.legend, path)


def _renamed(meaning: Meaning, wanted: tuple[str, ...] | None, path: Path) -> Meaning:
    """The same masks in terms of a model's classes.

    Raises:
        DataError: a class that the model does not know.
    """
    if wanted is None or wanted == meaning.names:
        return meaning
    numbered = all(name == f"class {place}" for place, name in enumerate(meaning.names))
    if numbered and len(meaning.names) <= len(wanted):
        return replace(meaning, names=wanted)
    unknown = [name for name in meaning.names if name not in wanted]
    if unknown:
        raise DataError(
            f"{path}: has the class {unknown[0]!r}, unknown to the model "
            f"({name_some(list(wanted))}); rename or remove it"
        )
    places = np.full(256, IGNORE, np.uint8)
    places[: len(meaning.names)] = [wanted.index(name) for name in meaning.names]
    coding = replace(meaning.coding, labels=places[meaning.coding.labels])
    return replace(meaning, names=wanted, coding=coding, palette=None)


@dataclass(frozen=True, eq=False)
class _Builder:
    """Makes samples of pairs, and problems of what is not sound."""

    layout: Layout
    meaning: Meaning
    facts: dict[Path, MaskFacts | str]
    problems: Problems

    def sample(self, pair: Pair, size_hw: tuple[int, int] | str) -> SegmentationSample | None:
        facts = self.facts.get(pair.mask_path)
        if isinstance(size_hw, str):
            self.problems.add("bad image", pair.path, f"{size_hw}; left out")
            return None
        if isinstance(facts, str):
            self.problems.add("bad mask", pair.mask_path, f"{facts}; left out")
            return None
        coding = self._coding(pair.mask_path)
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
            pixels = self._pixels(pair.mask_path, facts, coding)
            if not pixels.any():
                self.problems.add("mask without labels", pair.mask_path, "all void; left out")
                return None
        return SegmentationSample(
            path=pair.path,
            mask_path=pair.mask_path,
            coding=coding,
            size_hw=size_hw,
            pixels=pixels,
        )

    def _coding(self, mask: Path) -> MaskCoding:
        known = self.layout.known
        return (
            self.meaning.coding if known is None else known.codings.get(mask, self.meaning.coding)
        )

    def _pixels(self, mask: Path, facts: MaskFacts, coding: MaskCoding) -> np.ndarray:
        """(K,) labelled pixels; codes without a meaning are reported."""
        codes = facts.codes_as(coding.kind)
        unknown = ~coding.knows(codes)
        if unknown.any():
            first = int(codes[unknown][0])
            value = f"color {unpack(first)}" if coding.kind == "color" else f"value {first}"
            count, kinds = int(facts.counts[unknown].sum()), int(unknown.sum())
            more = f" and {kinds - 1} other values" if kinds > 1 else ""
            self.problems.add(
                "label outside the classes", mask, f"{value}{more}: {count} pixels taken as void"
            )
        labels = coding.labels_of(codes)
        pixels = np.bincount(labels, facts.counts, minlength=IGNORE + 1)[: len(self.meaning.names)]
        return pixels.astype(np.int64)
