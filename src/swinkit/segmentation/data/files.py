"""The images and masks of a data set: which of the known ones it is, or folders of masks."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np

from swinkit.data.problems import Problem
from swinkit.data.splits import name_some
from swinkit.errors import DataError, ImageError
from swinkit.images.sources import is_image_name, walk_files
from swinkit.segmentation.data.folders import Files, Pair, Pairs, find_files, find_pairs
from swinkit.segmentation.data.known import (
    KnownMasks,
    ade20k,
    find_cityscapes,
    find_coco,
    is_ade20k,
)
from swinkit.segmentation.data.layers import ClassMasks, find_layers, join_layers
from swinkit.segmentation.data.legend import LegendLine, find_legend, read_legend
from swinkit.segmentation.data.masks import LabelTable, read_mask

PAIRED = 0.5  # part of the images that must have a mask before a folder is taken for masks
SHARED = 0.8  # part of the names that two folders must share to be images and masks
MOST_FOLDERS = 12  # beside each other, beyond which they are classes
MOST_VALUES = 40  # of a mask
LAYOUTS = (
    "folders of images and masks (images/train beside masks/train, train/images beside "
    "train/masks, train beside train_labels, JPEGImages beside SegmentationClass), x.jpg beside "
    "x_mask.png, ADE20K, Cityscapes (leftImg8bit beside gtFine), COCO panoptic or semantic"
)


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """A recognized data set.

    Attributes:
        kind: "masks", "mask per class", "ade20k", "cityscapes", "coco-panoptic" or "coco-semantic".
        pairs: images with masks.
        known: the meaning of the masks, where the kind tells it.
        legend: the data set's own class list, or None.
        problems: what was wrong with the files.
    """

    kind: str
    pairs: Pairs
    known: KnownMasks | None = None
    legend: tuple[LegendLine, ...] | None = None
    problems: tuple[Problem, ...] = ()


def find_mask_files(path: Path) -> MaskFiles | None:
    """The segmentation data set at `path`; None where there is none.

    Raises:
        DataError: files that are recognized but unreadable.
    """
    if not path.is_dir():
        return None
    cityscapes = find_cityscapes(path)
    if cityscapes is not None:
        return MaskFiles("cityscapes", cityscapes.pairs, cityscapes)
    coco = find_coco(path)
    if coco is not None:
        return MaskFiles(coco[0], coco[1].pairs, coco[1], problems=tuple(coco[2]))
    files = find_files(path)
    if not files.masks:
        return None
    legend_file = find_legend(path)
    layered = find_layers(files, path)
    if layered:
        legend = read_legend(legend_file) if legend_file is not None else None
        return _layered(files, layered, legend, path)
    pairs = find_pairs(path, files)
    if pairs.count() == 0:
        return None
    if is_ade20k(path, pairs):
        return MaskFiles("ade20k", pairs, ade20k(pairs))
    if legend_file is None:
        return MaskFiles("masks", pairs)
    pairs.lists += [legend_file, *path.glob(f"*/{legend_file.name}")]
    return MaskFiles("masks", pairs, None, read_legend(legend_file))


def _layered(
    files: Files, layered: ClassMasks, legend: tuple[LegendLine, ...] | None, where: Path
) -> MaskFiles:
    """A mask for each class; one that all images have alone is the mask of the image."""
    pairs, names = join_layers(files, layered, legend)
    if len({name for classes in layered.values() for name in classes}) == 1:
        pairs.by_split = {
            split: [Pair(pair.path, pair.mask_path) for pair in found]
            for split, found in pairs.by_split.items()
        }
        return MaskFiles("masks", pairs, None, legend)
    pairs.notes.append(
        f"{where}: a mask for each class ({name_some(list(names[1:]))}) was read; what none "
        f"shows is {names[0]}"
    )
    table = LabelTable.of("index", {number: number for number in range(len(names))})
    return MaskFiles("mask per class", pairs, KnownMasks(pairs, names, table, {}))


def is_segmentation(path: Path) -> bool:
    """Whether a folder is a segmentation data set rather than another kind.

    Raises:
        DataError: as `find_mask_files`, or masks that are none by their names or kinds.
    """
    files = find_mask_files(path)
    paired = 0 if files is None else files.pairs.count()
    if files is not None and files.kind.startswith("coco"):
        return True
    if files is not None and paired >= PAIRED * (paired + len(files.pairs.without_mask)):
        return paired > 0
    if path.is_dir():
        refuse_other_truth(path)
    return False


def require_mask_files(path: Path) -> MaskFiles:
    """`find_mask_files`, where there must be one.

    Raises:
        DataError: nothing there, or no image with a mask in it; says what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder; check the path")
    files = find_mask_files(path)
    if files is None or files.pairs.count() == 0:
        if files is not None and files.problems:
            first = files.problems[0]
            raise DataError(
                f"{path}: no images with masks found; {len(files.problems)} entries cannot be "
                f"used, such as {first.where}: {first.done}; correct them"
            )
        refuse_other_truth(path)
        raise DataError(f"{path}: no images with masks found; looked for {LAYOUTS}")
    return files


def refuse_other_truth(root: Path) -> None:
    """Say why a folder with pictures that have masks cannot be read as it is.

    Raises:
        DataError: MATLAB files with the images' names, or a folder of masks that is not called so.
    """
    files = sorted(walk_files(root))
    images = [path for path in files if is_image_name(path.name)]
    stems = {path.stem for path in images}
    arrays = [path for path in files if path.suffix.lower() == ".mat" and path.stem in stems]
    if images and len(arrays) >= PAIRED * len(images):
        raise DataError(
            f"{root}: the truth lies in MATLAB files, such as {arrays[0].relative_to(root)}, which "
            "are not read; write each as a PNG whose pixels hold the numbers of the classes, into "
            "a folder masks beside images"
        )
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in images:
        folders[path.parent][path.stem] = path
    siblings: dict[Path, list[Path]] = defaultdict(list)
    for folder in folders:
        siblings[folder.parent].append(folder)
    for group in siblings.values():
        for first, second in permutations(group if len(group) <= MOST_FOLDERS else [], 2):
            if _seems_masks_of(folders[first], folders[second]):
                raise DataError(
                    f"{root}: {second.relative_to(root)} seems to hold the masks of "
                    f"{first.relative_to(root)}; call the folders masks and images to train on "
                    "them"
                )


def _seems_masks_of(pictures: dict[str, Path], others: dict[str, Path]) -> bool:
    """Whether two folders have files of the same names, and only the second has few values."""
    shared = sorted(pictures.keys() & others.keys())
    if not shared or len(shared) < SHARED * max(len(others), len(pictures)):
        return False
    probed = shared[:: max(1, len(shared) // 3)]
    masks = all(_looks_like_mask(others[stem]) for stem in probed)
    return masks and not any(_looks_like_mask(pictures[stem]) for stem in probed)


def _looks_like_mask(path: Path) -> bool:
    try:
        codes = read_mask(path).codes
    except ImageError:
        return False
    return len(np.unique(codes)) <= MOST_VALUES
