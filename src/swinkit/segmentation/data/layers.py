"""A mask for each class and picture: which data sets are so, and one mask of several.

Found by names: `masks/im0_cat.png` and `masks/im0_dog.png` for `images/im0.jpg`, or
`masks/cat/im0.png` and `masks/dog/im0.png`. H W map.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from swinkit.errors import DataError, ImageError
from swinkit.segmentation.data.folders import Files, Key, Layers, Pair, Pairs, stem_of
from swinkit.segmentation.data.gray_levels import WHITE_FROM, is_black_and_white
from swinkit.segmentation.data.legend import LegendLine, class_list
from swinkit.segmentation.data.masks import RawMask, read_mask

BACKGROUND = frozenset({"background", "bg", "_background_"})
NAMED = 0.8  # part of the masks whose names must tell an image and a class
JOIN = "join the masks of each picture into one PNG whose pixels hold the numbers of the classes"

ClassMasks = dict[Path, dict[str, Path]]  # by image: the mask of each class


def find_layers(files: Files, where: Path) -> ClassMasks:
    """The masks of each image by class; empty where the data set is not so.

    Raises:
        DataError: a mask for each object instead.
    """
    by_folder = _by_folder(files)
    if any(len(classes) > 1 for classes in by_folder.values()):
        return by_folder
    by_name = _by_name(files)
    names = {name for classes in by_name.values() for name in classes}
    matched = sum(len(classes) for classes in by_name.values())
    objects = _masks_of_objects(files)
    if objects or (names and all(re.fullmatch(r"\D{0,8}\d+", name) for name in names)):
        some = objects or [path for classes in by_name.values() for path in classes.values()]
        raise DataError(
            f"{where}: has a mask for each object, such as {some[0].relative_to(where)}; {JOIN}, "
            "or write the objects as COCO for instance segmentation"
        )
    return by_name if matched >= 2 * len(names) else {}


def join_layers(
    files: Files, found: ClassMasks, legend: tuple[LegendLine, ...] | None
) -> tuple[Pairs, tuple[str, ...]]:
    """Images with the masks of their classes, and the K names, background first."""
    classes = {name for masks in found.values() for name in masks}
    listed = class_list(legend or ())
    names = listed if classes <= set(listed) else tuple(sorted(classes, key=str.lower))
    ground = next((name for name in names if name.lower() in BACKGROUND), "background")
    names = (ground, *(name for name in names if name != ground))
    pairs = Pairs()
    splits = {path: split for (split, _, _), path in files.masks.items()}
    used: set[Path] = set()
    for key, path in files.images:
        masks = found.get(path)
        if masks is None:
            pairs.without_mask.append(path)
            continue
        layers = tuple(sorted((names.index(name), mask) for name, mask in masks.items()))
        split = key[0] or splits[layers[0][1]] or "all"
        pairs.by_split[split].append(Pair(path, layers[0][1], layers))
        used |= set(masks.values())
    pairs.without_image = sorted(path for path in files.masks.values() if path not in used)
    return pairs, names


def read_layers(layers: Layers) -> RawMask:
    """One mask of several: 0 where none is white, the later class where two are.

    Raises:
        ImageError: unreadable, not black and white, or of different sizes.
    """
    insides = [(label, path, _inside(path)) for label, path in layers]
    size_hw = insides[0][2].shape
    joined = np.zeros(size_hw, np.uint8)
    overlap = 0
    for label, path, inside in insides:
        if inside.shape != size_hw:
            raise ImageError(
                f"{path}: the mask is {inside.shape[0]}x{inside.shape[1]} (height x width), that "
                f"of another class {size_hw[0]}x{size_hw[1]}; make them the same"
            )
        overlap += int((joined[inside] > 0).sum())
        joined[inside] = label
    return RawMask("index", joined, overlap=overlap)


def _by_folder(files: Files) -> ClassMasks:
    """Masks in a folder for each class, beside images that lie in none."""
    images = {(split, rest, stem_of(stem)): path for (split, rest, stem), path in files.images}
    found: ClassMasks = defaultdict(dict)
    matched = 0
    for (split, rest, stem), path in files.masks.items():
        keys: list[Key] = [(part, rest[:-1], stem_of(stem)) for part in (split, None)]
        image = next((images[key] for key in keys if rest and key in images), None)
        if image is not None:
            name = next(part for part in reversed(path.parts) if part.lower() == rest[-1])
            found[image][name] = path
            matched += 1
    return found if matched >= NAMED * len(files.masks) else {}


def _by_name(files: Files) -> ClassMasks:
    """Masks whose names are those of an image and of a class."""
    stems = dict(files.images)
    plain = {(split, rest, stem_of(stem)) for (split, rest, stem), _ in files.images}
    found: ClassMasks = defaultdict(dict)
    matched = 0
    for (split, rest, stem), path in files.masks.items():
        if (split, rest, stem_of(stem)) in plain:
            continue
        for image, name in _cuts(stem):
            keys: list[Key] = [(split, rest, image), (None, rest, image), (None, (), image)]
            key = next((key for key in keys if key in stems), None)
            if key is not None and name:
                found[stems[key]][name] = path
                matched += 1
                break
    return found if files.masks and matched >= NAMED * len(files.masks) else {}


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Stems of an image and names of a class that a mask's stem may be made of, longest first."""
    whole = stem[: len(stem_of(stem))]
    places = [match.span() for match in re.finditer(r"[_\-. ]+", whole)]
    for start, end in reversed(places):
        yield whole[:start], whole[end:]
    for start, end in places:
        yield whole[end:], whole[:start]


def _masks_of_objects(files: Files) -> list[Path]:
    """Masks that lie in a folder of one image, several in each and none with its name."""
    images: dict[tuple[str | None, tuple[str, ...]], list[str]] = defaultdict(list)
    masks: dict[tuple[str | None, tuple[str, ...]], list[Path]] = defaultdict(list)
    for (split, rest, stem), _ in files.images:
        images[split, rest].append(stem_of(stem))
    for (split, rest, stem), path in files.masks.items():
        if rest and len(images[split, rest]) == 1 and stem_of(stem) not in images[split, rest]:
            masks[split, rest].append(path)
    found = [path for paths in masks.values() for path in paths]
    enough = len(masks) > 1 and len(found) > len(masks) and len(found) >= NAMED * len(files.masks)
    return sorted(found) if enough else []


def _inside(path: Path) -> np.ndarray:
    """(H, W) bool: where a black and white mask is white."""
    mask = read_mask(path)
    values, counts = np.unique(mask.codes, return_counts=True)
    if len(values) == 1:
        return mask.codes > 0
    if len(values) == 2:
        return mask.codes == values[1]
    soft = dict(zip(values.tolist(), counts.tolist(), strict=True))
    if mask.kind == "index" and (mask.lossy or is_black_and_white(soft)):
        return mask.codes >= WHITE_FROM
    raise ImageError(
        f"{path}: holds {len(values)} values, but the mask of one class is black and white; {JOIN}"
    )
