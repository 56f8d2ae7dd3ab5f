"""Pairs of image and mask in folders, whatever the folders are called."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from swinkit.data.splits import SPLIT_ALIASES, name_some
from swinkit.images.sources import walk_images
from swinkit.parsing import read_lines

Role = Literal["image", "mask", "other"]

MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "annot", "annots", "ann"}
    | {"gt", "gts", "groundtruth", "truth", "seg", "segs", "segmentation", "segmentations"}
    | {"segmentationclass", "segmentationclassraw", "segmentationclassaug", "target", "targets"}
    | {"segmentationclasspng", "segmentationclassnpy", "labelids", "labelmasks", "semantic"}
    | {"gtfine", "gtcoarse", "pixelmaps", "stuffthingmaps", "lbl"}
)
IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures"}
    | {"rgb", "input", "inputs", "leftimg"}
)
# Pictures that are neither: other annotations, and previews.
OTHER_WORDS = frozenset(
    {"segmentationobject", "instance", "instances", "depth", "disparity", "overlay", "overlays"}
    | {"vis", "preview", "previews", "visualization", "segmentationclassvisualization"}
    | {"segmentationobjectpng", "segmentationobjectnpy", "segmentationobjectvisualization"}
)
_SPLIT_WORDS = "|".join(sorted(SPLIT_ALIASES, key=len, reverse=True))
_GLUED = re.compile(rf"^({_SPLIT_WORDS})([a-z]+)$")  # trainannot
_SUFFIX = re.compile(
    r"[_\-. ](mask|masks|label|labels|gt|seg|segmentation|annot|l|labelids|labeltrainids|gtfine|"
    r"gtcoarse|groundtruth|leftimg8bit|image|img|rgb|sat|input)$"
)
_MASK_SUFFIX = re.compile(
    r"[_\-. ](mask|masks|label|labels|gt|seg|segmentation|annot|l|labelids|groundtruth)$"
)
LIST_FOLDERS = ("", "splits", "lists", "ImageSets/Segmentation", "ImageSets")

Key = tuple[str | None, tuple[str, ...], str]  # split, folders without meaning, stem
Layers = tuple[tuple[int, Path], ...]


@dataclass(frozen=True)
class Pair:
    """An image and its mask; `layers` has the label and file of each class's own mask."""

    path: Path
    mask_path: Path
    layers: Layers = ()


@dataclass(frozen=True)
class Files:
    """Images and masks of a folder, each with what its name and folders tell.

    Attributes:
        images, masks: by key.
        doubled: masks whose key another one has.
    """

    images: list[tuple[Key, Path]]
    masks: dict[Key, Path]
    doubled: list[Path]


@dataclass
class Pairs:
    """What was found.

    Attributes:
        by_split: pairs by "train", "val", "test", or under "all".
        without_mask: images without a mask.
        without_image: masks without an image.
        unlabeled: images of splits in which none has a mask.
        notes: remarks, one line each.
        lists: files that were used, such as those of the images of a split.
    """

    by_split: dict[str, list[Pair]] = field(default_factory=lambda: defaultdict(list))
    without_mask: list[Path] = field(default_factory=list)
    without_image: list[Path] = field(default_factory=list)
    unlabeled: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)

    def count(self) -> int:
        return sum(len(pairs) for pairs in self.by_split.values())


@dataclass(frozen=True)
class FolderMeaning:
    """What the names of a file's folders tell."""

    role: Role | None
    split: str | None
    rest: tuple[str, ...]


def find_pairs(root: Path, files: Files | None = None) -> Pairs:
    """Pair the images below a folder with their masks.

    Args:
        root: the folder.
        files: of `find_files`, where that was called before.

    Images and masks lie in folders whose names say so (`images`, `masks`, `train_labels`,
    `SegmentationClass`, ...) in any order with the splits', or beside each other with names such
    as `x.jpg` and `x_mask.png`. A mask has its image's stem, but for endings such as `_mask`.
    Where no folder names a split, lists such as `train.txt` do.
    """
    files = files or find_files(root)
    images, free = files.images, dict(files.masks)
    pairs = Pairs()
    if files.doubled:
        named = name_some([str(path.relative_to(root)) for path in files.doubled], most=3)
        pairs.notes.append(
            f"{root}: {len(files.doubled)} masks of a name that another has: left out ({named})"
        )
    left: list[tuple[Key, Path]] = []
    for attempt in (_exact, _stripped, _anywhere):
        index: dict[Key, list[Key]] = defaultdict(list)
        for key in free:
            index[attempt(key)].append(key)
        left = []
        for key, path in images:
            found = index.get(attempt(key), [])
            if len(found) == 1 and found[0] in free:
                pairs.by_split[key[0] or found[0][0] or "all"].append(
                    Pair(path, free.pop(found[0]))
                )
            else:
                left.append((key, path))
        images = left
    left = _without_others(root, left, pairs)
    labeled = {*pairs.by_split, None}
    pairs.without_mask = sorted(path for key, path in left if key[0] in labeled)
    pairs.unlabeled = sorted(path for key, path in left if key[0] not in labeled)
    pairs.without_image = sorted(free.values())
    if set(pairs.by_split) == {"all"}:
        _split_by_lists(root, pairs)
    for found_pairs in pairs.by_split.values():
        found_pairs.sort(key=lambda pair: pair.path)
    return pairs


def _without_others(
    root: Path, left: list[tuple[Key, Path]], pairs: Pairs
) -> list[tuple[Key, Path]]:
    """Images without a mask, but for those of folders that are not called images where the paired
    ones lie in a folder that is: augmented copies, previews, results. A note names them."""

    def in_images(path: Path) -> bool:
        return folder_meaning(path.parent.relative_to(root).parts).role == "image"

    called = {
        split
        for split, found in pairs.by_split.items()
        if all(in_images(pair.path) for pair in found)
    }
    others = [path for key, path in left if (key[0] or "all") in called and not in_images(path)]
    if others:
        folders = sorted({str(path.parent.relative_to(root)) for path in others})
        pairs.notes.append(
            f"{root}: {len(others)} pictures in {name_some(folders)} have no masks: left out"
        )
    apart = set(others)
    return [(key, path) for key, path in left if path not in apart]


def folder_meaning(parts: tuple[str, ...]) -> FolderMeaning:
    """What folder names tell about the files inside."""
    role: Role | None = None
    split: str | None = None
    rest = []
    for part in parts:
        words = [word for word in re.split(r"[^a-z]+", part.lower()) if word]
        glued = [match.groups() for word in words if (match := _GLUED.match(word))]
        words += [word for pair in glued for word in pair if set(pair) & (MASK_WORDS | IMAGE_WORDS)]
        known: Role | None = None
        if OTHER_WORDS & set(words):
            known = "other"
        elif MASK_WORDS & set(words):
            known = "mask"
        elif IMAGE_WORDS & set(words):
            known = "image"
        found = next((SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES), None)
        split = found or split
        # "annotations/gtFine/train" is of masks, "masks/images" is not decided by its parent.
        role = known or role
        if known is None and found is None:
            rest.append(part.lower())
    return FolderMeaning(role, split, tuple(rest))


def find_files(root: Path) -> Files:
    """Images and masks below a folder."""
    places: dict[Path, FolderMeaning] = {}
    files = walk_images(root)
    for path in files:
        if path.parent not in places:
            places[path.parent] = folder_meaning(path.parent.relative_to(root).parts)
    if not any(place.role == "mask" for place in places.values()):
        return _side_by_side(files, places)
    found = Files([], {}, [])
    for path in files:
        place = places[path.parent]
        key = (place.split, place.rest, path.stem)
        if place.role == "mask":
            _add_mask(found, key, path)
        elif place.role != "other":
            found.images.append((key, path))
    return found


def _add_mask(found: Files, key: Key, path: Path) -> None:
    """Of an array and a picture that show the same, the picture is taken."""
    before = found.masks.get(key)
    if before is None or before.suffix.lower() == ".npy":
        found.masks[key] = path
    elif path.suffix.lower() != ".npy":
        found.doubled.append(path)


def _side_by_side(files: list[Path], places: dict[Path, FolderMeaning]) -> Files:
    """Images and masks in one folder: distinguished by the stem's ending, or JPEG from PNG."""
    photos = {
        (path.parent, path.stem) for path in files if path.suffix.lower() in (".jpg", ".jpeg")
    }
    found = Files([], {}, [])
    for path in files:
        place = places[path.parent]
        key = (place.split, (*place.rest, str(path.parent)), path.stem)
        twin = path.suffix.lower() == ".png" and (path.parent, path.stem) in photos
        if twin or _MASK_SUFFIX.search(path.stem.lower()):
            _add_mask(found, key, path)
        else:
            found.images.append((key, path))
    return found


def _exact(key: Key) -> Key:
    return key


def _stripped(key: Key) -> Key:
    return (key[0], key[1], stem_of(key[2]))


def _anywhere(key: Key) -> Key:
    """Splits on one side only: images/train/x.jpg and masks/x.png."""
    return (None, (), stem_of(key[2]))


def stem_of(stem: str) -> str:
    """A stem without the endings that tell an image or a mask."""
    stem = stem.lower()
    while match := _SUFFIX.search(stem):
        stem = stem[: match.start()]
    return stem


def _split_by_lists(root: Path, pairs: Pairs) -> None:
    """Move pairs from "all" to the splits whose list files name them; drop those in no list."""
    found = _find_lists(root)
    if not found:
        return
    lists = {split: stems for split, (_, stems) in found.items()}
    pairs.lists += [file for file, _ in found.values()]
    by_stem = {pair.path.stem: pair for pair in pairs.by_split["all"]}
    listed = set().union(*lists.values())
    for split, stems in lists.items():
        pairs.by_split[split] = [by_stem[stem] for stem in sorted(stems) if stem in by_stem]
    del pairs.by_split["all"]
    # An image that no list names is no image of this data set (VOC has thousands of them).
    pairs.without_mask = [path for path in pairs.without_mask if path.stem in listed]


def _find_lists(root: Path) -> dict[str, tuple[Path, set[str]]]:
    """The file of each split and the stems that it names; empty where there is none of train."""
    for name in LIST_FOLDERS:
        folder = root / name
        if not folder.is_dir():
            continue
        found = {}
        for file in sorted(folder.glob("*.txt")):
            split = SPLIT_ALIASES.get(file.stem.lower())
            if split is not None:
                lines = [line.replace("\\", "/") for line in read_lines(file) if line]
                found[split] = file, {Path(line.split()[0]).stem for line in lines}
        if "train" in found:
            return found
    return {}
