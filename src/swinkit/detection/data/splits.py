"""From a path to checked, split detection samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from swinkit.data.config import DataConfig
from swinkit.data.headers import check_images
from swinkit.data.problems import Problems, refuse_bad_images, refuse_problems
from swinkit.data.splitting import (
    SPLIT_ALIASES,
    SPLIT_NAMES,
    choose_split,
    complete_splits,
    name_some,
)
from swinkit.detection.data.build import build_samples
from swinkit.detection.data.coco import read_coco
from swinkit.detection.data.layouts import Layout, require_layout
from swinkit.detection.data.raw import RawSplit
from swinkit.detection.data.samples import DetectionSample, DetectionSplits
from swinkit.detection.data.voc import read_voc
from swinkit.detection.data.yolo import read_yolo
from swinkit.errors import DataError

MASKS_FROM = 0.5  # part of the objects that need an outline for a data set with masks
FIRST_IMAGE_ID = 1  # where the files give no numbers

Parts = dict[str, list[DetectionSample]]


def load_detection(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> DetectionSplits:
    """Find, check and split the images and objects of a COCO, VOC or YOLO data set.

    What is not sound is left out and listed in `problems`. Splits that the data set does not have
    are taken from its training images by the fractions of `config`.

    Args:
        config: where the data is and how to treat it; `strict` refuses any problem.
        class_names: the classes and their order; None takes those of the files.

    Raises:
        DataError: nothing there, no usable training image or object, a class that `class_names`
            does not hold, or problems where they are refused.
    """
    loaded, parts = _load(config, class_names)
    notes = list(loaded.notes)
    complete = complete_splits(parts, config, notes)
    splits = replace(
        loaded,
        train=complete["train"],
        val=complete["val"],
        test=complete.get("test"),
        notes=tuple(notes),
    )
    if not any(len(sample) for sample in splits.train):
        raise DataError(f"{config.path}: the training images have no objects; annotate some")
    return splits


def load_detection_samples(
    path: str | Path, class_names: tuple[str, ...] | None = None, *, split: str | None = None
) -> tuple[list[DetectionSample], DetectionSplits]:
    """The samples to evaluate a trained model on, or to look at.

    Args:
        path: anything that `load_detection` reads.
        class_names: the model's classes; None takes those of the files.
        split: "train", "val" or "test"; None takes the test split, else the validation split,
            else, where there are no splits, every image.

    Returns:
        The samples, and the data set they come from: its names, notes and problems.

    Raises:
        DataError: no such split, or a class that the model does not know.
    """
    config = DataConfig(path=Path(path))
    loaded, parts = _load(config, class_names)
    return choose_split(parts, split, config.path), loaded


def load_parts(config: DataConfig) -> tuple[DetectionSplits, Parts]:
    """What the files hold, split as they split it ("all" where they do not); for inspection.

    Returns:
        The data set without samples, and its samples by split.

    Raises:
        DataError: as `load_detection`.
    """
    return _load(config, None)


def _load(config: DataConfig, class_names: tuple[str, ...] | None) -> tuple[DetectionSplits, Parts]:
    path = config.path.expanduser()
    kind = config.kind if config.kind in ("coco", "voc", "yolo") else "auto"
    layout = require_layout(path, kind)
    problems = Problems()
    raw = _read(layout, problems)
    images = [image for part in raw.values() for image in part.images]
    files = [image.path for image in images if image.path]
    if not files:
        listed = [image.where for image in images]
        raise DataError(
            f"{path}: none of its {len(listed)} images was found: {name_some(listed, most=1)}; "
            "put them there"
        )
    stated = {image.path: image.size_hw for image in images if image.path and image.size_hw}
    checked = check_images(files, scan=config.scan, channels=config.channels, stated=stated)
    names, numbers = _classes(raw, path, class_names)
    masks, notes = _decide_masks(raw, path)
    ordered = {name: raw[name] for name in (*SPLIT_NAMES, "all") if name in raw}
    parts: Parts = {}
    first_id = FIRST_IMAGE_ID
    for split, part in ordered.items():
        labels = np.array([names.index(name) for name in part.class_names], np.int64)
        parts[split] = build_samples(
            part, checked, labels, problems, masks=masks, first_id=first_id
        )
        first_id += len(part.images)
    _find_repeated(parts, problems)
    if config.on_bad_image == "refuse":
        refuse_bad_images(path, problems)
    if config.strict:
        refuse_problems(path, problems)
    loaded = DetectionSplits(
        train=[],
        val=[],
        test=None,
        class_names=names,
        category_ids=numbers,
        kind=layout.kind,
        has_masks=masks,
        notes=(*layout.notes, *notes),
        problems=tuple(problems),
    )
    return loaded, parts


def _read(layout: Layout, problems: Problems) -> dict[str, RawSplit]:
    if layout.voc is not None:
        return read_voc(layout.voc, problems)
    if layout.yolo is not None:
        return read_yolo(layout.yolo, problems)
    read = {}
    for split, file in (layout.coco or {}).items():
        stem = file.stem.removeprefix("instances_").removeprefix("_")
        words = [stem, split] + [word for word, name in SPLIT_ALIASES.items() if name == split]
        read[split] = read_coco(file, list(dict.fromkeys(words)), problems)
    return read


def _classes(
    raw: dict[str, RawSplit], path: Path, wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names over all splits in the order of the first file, and the files' numbers for them."""
    found: dict[str, int] = {}
    for part in raw.values():
        used = np.bincount(part.objects.names, minlength=len(part.class_names))
        for name, number, count in zip(part.class_names, part.category_ids, used, strict=True):
            if wanted is not None and name not in wanted and count:
                raise DataError(
                    f"{path}: has the class {name!r}, unknown to the model "
                    f"({name_some(list(wanted))}); rename or remove it"
                )
            found.setdefault(name, number)
    if wanted is None:
        return tuple(found), tuple(found.values())
    free = max(found.values(), default=0) + 1
    numbers = []
    for name in wanted:
        numbers.append(found.get(name, free))
        free += name not in found
    return wanted, tuple(numbers)


def _decide_masks(raw: dict[str, RawSplit], path: Path) -> tuple[bool, list[str]]:
    with_mask = objects = 0
    for part in raw.values():
        segments = part.objects.segments or []
        with_mask += sum(segment is not None for segment in segments)
        with_mask += len(part.objects.broken)
        objects += len(part.objects.names)
    if with_mask == 0 or with_mask >= MASKS_FROM * objects:
        return with_mask > 0, []
    return False, [
        f"{path}: only {with_mask} of {objects} objects have a mask; the data set is read as boxes"
    ]


def _find_repeated(parts: Parts, problems: Problems) -> None:
    first: dict[Path, str] = {}
    for split, samples in parts.items():
        for sample in samples:
            other = first.setdefault(sample.path, split)
            if other != split:
                done = f"{other} and {split}: kept in both, so the scores flatter"
                problems.add("image in two splits", sample.path, done)
