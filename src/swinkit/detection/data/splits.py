"""From a path to checked images with their objects, in splits. G objects, H W map, K classes.

NumPy only.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from swinkit.data.bands import channels_of, recognize_bands
from swinkit.data.config import DataConfig
from swinkit.data.problems import Problems, refuse_problems, refuse_unsound
from swinkit.data.scan import check_images
from swinkit.data.splits import SPLIT_NAMES, Splits, fill_splits, load_samples, name_some
from swinkit.detection.data.annotations import AnnotationFiles, AnnotationKind, RawSplit
from swinkit.detection.data.coco import find_coco
from swinkit.detection.data.cvat import find_cvat
from swinkit.detection.data.image_lookup import alike
from swinkit.detection.data.labelme import find_labelme
from swinkit.detection.data.samples import DetectionSample, check_samples
from swinkit.detection.data.tables import find_tables
from swinkit.detection.data.voc import find_voc
from swinkit.detection.data.yolo import find_yolo
from swinkit.errors import DataError

MASKS_FROM = 0.5  # part of the objects that need an outline for a data set with masks
FIRST_IMAGE_ID = 1  # where the files give no numbers

LAYOUTS = (
    "COCO (annotations/*.json, *.json, or train/*.json, with images, annotations and categories), "
    "Pascal VOC (Annotations/*.xml), YOLO (data.yaml with names and train, obj.data, or "
    "labels/*.txt beside images), labelme (*.json with shapes), CVAT for images (annotations.xml), "
    "CSV (filename,class,xmin,ymin,xmax,ymax)"
)

Parts = dict[str, list[DetectionSample]]


@dataclass(frozen=True, kw_only=True)
class DetectionSplits(Splits[DetectionSample]):
    """Images with their objects, in splits.

    Attributes:
        category_ids: K numbers, under which the files know the classes.
        kind: "coco", "voc", "yolo", "labelme", "cvat" or "csv".
        has_masks: whether the objects have masks.
    """

    category_ids: tuple[int, ...]
    kind: str
    has_masks: bool

    def counts(self) -> dict[str, dict[str, int]]:
        """Objects per class, per split; crowd regions are not counted."""
        return {
            name: object_counts(samples, self.class_names)
            for name, samples in self.by_name().items()
        }

    def _summary_rows(self) -> list[list[str]]:
        splits, counts = self.by_name().values(), self.counts().values()
        crowds = (sum(int(sample.is_crowd.sum()) for sample in part) for part in splits)
        return [
            *super()._summary_rows(),
            ["all objects", *(str(sum(count.values())) for count in counts)],
            ["crowd or ignored", *map(str, crowds)],
            ["images", *(str(len(part)) for part in splits)],
        ]


def object_counts(samples: list[DetectionSample], class_names: tuple[str, ...]) -> dict[str, int]:
    """Objects of each class, zeros included; crowd regions are not counted."""
    found: Counter[int] = Counter()
    for sample in samples:
        found.update(sample.labels[~sample.is_crowd].tolist())
    return {name: found[index] for index, name in enumerate(class_names)}


def find_annotations(path: Path, kind: str = "auto") -> AnnotationFiles | None:
    """The annotation files of the detection data set at `path`; None where there is none.

    Where several kinds of annotation lie side by side, COCO comes first, then YOLO, VOC, CVAT,
    labelme and CSV; a note names what was passed over.

    Args:
        path: a folder, a COCO .json file, a YOLO .yaml or .data file, a CVAT .xml file, or a
            .csv file of boxes.
        kind: "auto", or the one kind to look for.

    Raises:
        DataError: files that contradict each other, such as two for one split.
    """
    finders = {
        "coco": find_coco,
        "yolo": find_yolo,
        "voc": find_voc,
        "cvat": find_cvat,
        "labelme": find_labelme,
        "csv": find_tables,
    }
    first, others = None, []
    for name, find in finders.items():
        if kind not in ("auto", name):
            continue
        try:
            files = find(path)
        except DataError:
            if first is None:
                raise
            others.append(name)  # what is passed over may be broken
            continue
        if first is None:
            first = files
        elif files is not None:
            others.append(name)
    if first is None or not others:
        return first
    passed = " and ".join(others)
    note = f"{path}: holds {first.kind} and {passed}; {first.kind} was read"
    return replace(first, notes=(*first.notes, note))


def require_annotations(path: Path, kind: str = "auto") -> AnnotationFiles:
    """`find_annotations`, where there must be some.

    Raises:
        DataError: nothing there, or no detection data set in it; says what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    files = find_annotations(path, kind)
    if files is None:
        what = "detection data" if kind == "auto" else f"{kind} data"
        raise DataError(f"{path}: no {what} found; looked for {LAYOUTS}")
    return files


def load_detection(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> DetectionSplits:
    """Find, check and split the images and objects of a data set of any kind.

    What is not sound is left out and listed in `problems`. Splits that the data set does not have
    are taken from its training images by the fractions of `config`.

    Args:
        config: where the data is and how to treat it; `strict` refuses any problem.
        class_names: the classes and their order; None takes those of the files.

    Raises:
        DataError: nothing there, no usable training image or object, a class that `class_names`
            does not hold, or problems where they are refused.
    """
    splits = fill_splits(*load_parts(config, class_names), config)
    objects = sum(len(sample) for sample in splits.train)
    if not objects:
        raise DataError(f"{config.path}: the training images have no objects; annotate some")
    if not _learnable(splits.train):
        raise DataError(
            f"{config.path}: nothing to learn: all {objects} objects of the training images are "
            "crowds (iscrowd), difficult or of no area; annotate single objects"
        )
    if not _learnable(splits.val):
        note = f"{config.path}: the validation images have no objects: their AP is no number"
        splits = replace(splits, notes=(*splits.notes, note))
    return splits


def load_parts(
    config: DataConfig, class_names: tuple[str, ...] | None = None
) -> tuple[DetectionSplits, Parts]:
    """What the files hold, split as they split it ("all" where they do not); for inspection.

    Returns:
        The data set without samples, and its samples by split.

    Raises:
        DataError: as `load_detection`.
    """
    path = config.path.expanduser()
    kind = config.kind if config.kind in get_args(AnnotationKind) else "auto"
    files = require_annotations(path, kind)
    problems = Problems()
    raw = files.read(problems)
    images = [image for part in raw.values() for image in part.images]
    paths = [image.path for image in images if image.path]
    if not paths:
        listed = [image.where for image in images]
        raise DataError(
            f"{path}: none of its {len(listed)} images was found: {name_some(listed, most=1)}; "
            "put them there, or a link called images that leads to their folder"
        )
    config, seen = recognize_bands(config, paths)
    stated = {image.path: image.size_hw for image in images if image.path and image.size_hw}
    checked = check_images(paths, scan=config.scan, channels=channels_of(config), stated=stated)
    ordered = {name: raw[name] for name in (*SPLIT_NAMES, "all") if name in raw}
    names, numbers, labels = _classes(ordered, path, class_names, problems)
    masks, notes = _decide_masks(raw, path)
    parts: Parts = {}
    first_id = FIRST_IMAGE_ID
    for split, part in ordered.items():
        parts[split] = check_samples(
            part, checked, labels[split], problems, masks=masks, first_id=first_id
        )
        first_id += len(part.images)
    if not any(parts.values()):
        refuse_problems(path, problems, "no image is left to use")
    if class_names is None:
        notes += _untaught(parts, names, path)
    _find_repeated(parts, problems)
    refuse_unsound(config, problems)
    loaded = DetectionSplits(
        class_names=names,
        category_ids=numbers,
        kind=files.kind,
        has_masks=masks,
        notes=(*files.notes, *seen, *notes),
        channels=channels_of(config),
        problems=tuple(problems),
    )
    return loaded, parts


# The samples to evaluate a trained model on, and the data set they come from.
load_detection_samples = partial(load_samples, load_parts)


def _classes(
    raw: dict[str, RawSplit], path: Path, wanted: tuple[str, ...] | None, problems: Problems
) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, np.ndarray]]:
    """Names over all splits in the order of the first one, the files' numbers for them, and the
    label of each class of each split."""
    found: dict[str, int] = {}
    own_names: dict[str, list[str]] = {}
    for split, part in raw.items():
        used = np.bincount(part.objects.names, minlength=len(part.class_names))
        own_names[split] = []
        for name, number, count in zip(part.class_names, part.category_ids, used, strict=True):
            shared = _shared_name(name, wanted or tuple(found), part.class_names)
            if shared != name:
                done = f"{name!r} of {split} is {shared!r} elsewhere: joined"
                problems.add("duplicate class", path, done)
            if wanted is not None and shared not in wanted and count:
                raise DataError(
                    f"{path}: has the class {name!r}, unknown to the model "
                    f"({name_some(wanted)}); rename or remove it, or evaluate with --class-names"
                )
            found.setdefault(shared, number)
            own_names[split].append(shared)
    names = tuple(found) if wanted is None else wanted
    free = max(found.values(), default=0) + 1
    numbers = []
    for name in names:
        numbers.append(found.get(name, free))
        free += name not in found
    # A class that the model does not know has no objects here; its label is never looked up.
    labels = {
        split: np.array([names.index(n) if n in names else 0 for n in own], np.int64)
        for split, own in own_names.items()
    }
    return names, tuple(numbers), labels


def _shared_name(name: str, known: tuple[str, ...], own: tuple[str, ...]) -> str:
    """The name by which other splits, or the model, know a class: its own, or the one that only
    differs in case or white space and that this split does not have beside it."""
    if name in known:
        return name
    key = " ".join(alike(name).split())
    matches = [k for k in known if " ".join(alike(k).split()) == key and k not in own]
    return matches[0] if len(matches) == 1 else name


def _decide_masks(raw: dict[str, RawSplit], path: Path) -> tuple[bool, list[str]]:
    """Whether the data set has masks, as most of its objects have a usable outline."""
    with_mask = broken = objects = 0
    for part in raw.values():
        with_mask += sum(segment is not None for segment in part.objects.segments or [])
        broken += len(part.objects.broken)
        objects += len(part.objects.names)
    if with_mask + broken == 0 or (with_mask and with_mask >= MASKS_FROM * objects):
        return with_mask > 0, []
    usable = " that can be used" if broken else ""
    return False, [
        f"{path}: only {with_mask} of {objects} objects have a mask{usable}; the data set is read "
        "as boxes"
    ]


def _learnable(samples: list[DetectionSample]) -> int:
    return sum(int((~sample.is_crowd & ~sample.is_flat).sum()) for sample in samples)


def _untaught(parts: Parts, class_names: tuple[str, ...], path: Path) -> list[str]:
    """A line that names the classes without training objects."""
    counts = object_counts(parts.get("train") or parts.get("all") or [], class_names)
    without = [name for name, count in counts.items() if not count]
    if not any(counts.values()):
        return [f"{path}: no single object in the training images: there is nothing to learn"]
    if not without:
        return []
    return [f"{path}: no training object of {name_some(without)}: nothing to learn of them"]


def _find_repeated(parts: Parts, problems: Problems) -> None:
    first: dict[Path, str] = {}
    for split, samples in parts.items():
        for sample in samples:
            other = first.setdefault(sample.path, split)
            if other != split:
                done = f"{other} and {split}: kept in both, so the scores flatter"
                problems.add("image in two splits", sample.path, done)
