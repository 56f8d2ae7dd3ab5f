"""Data sets whose masks' numbers are known: ADE20K, Cityscapes, COCO panoptic and semantic."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from swinkit.data.problems import Problem
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.errors import DataError
from swinkit.images.sources import ImageFinder, is_image_name
from swinkit.parsing import integer, mapping, read_json, sequence
from swinkit.segmentation.data.folders import Pair, Pairs, folder_meaning
from swinkit.segmentation.data.masks import IGNORE, LabelTable

ADE_CLASSES = "ade20k_150.txt"
CITYSCAPES = {
    # name: labelId, color
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
CITYSCAPES_LAST_ID = 33
PHOTO = "_leftImg8bit.png"


@dataclass(frozen=True, eq=False)
class KnownMasks:
    """Pairs of a recognized data set, and what its numbers mean.

    Attributes:
        pairs: images with masks.
        names: K class names.
        table: of every mask, or None where each has its own in `tables`.
        tables: by mask file.
        palette: colors of the classes, or None.
    """

    pairs: Pairs
    names: tuple[str, ...]
    table: LabelTable | None
    tables: dict[Path, LabelTable]
    palette: tuple[tuple[int, int, int], ...] | None = None


def ade20k_names() -> tuple[str, ...]:
    """The 150 classes of the scene parsing benchmark."""
    text = (resources.files("swinkit.segmentation") / ADE_CLASSES).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def is_ade20k(root: Path, pairs: Pairs) -> bool:
    """By its list of objects, or the names of its files."""
    if (root / "objectInfo150.txt").is_file():
        return True
    stems = [pair.path.stem for found in pairs.by_split.values() for pair in found]
    return bool(stems) and all(stem.startswith(("ADE_train_", "ADE_val_")) for stem in stems)


def ade20k(pairs: Pairs) -> KnownMasks:
    """0 is no class; class k has the number k + 1."""
    names = ade20k_names()
    label_by_code = {0: IGNORE} | {number + 1: number for number in range(len(names))}
    return KnownMasks(pairs, names, LabelTable.of("index", label_by_code), {})


def find_cityscapes(root: Path) -> KnownMasks | None:
    """leftImg8bit/{split}/{city}/*_leftImg8bit.png beside gtFine (or gtCoarse)."""
    images = root / "leftImg8bit"
    truth = next((root / name for name in ("gtFine", "gtCoarse") if (root / name).is_dir()), None)
    if truth is None or not images.is_dir():
        return None
    pairs = Pairs()
    masks = {path.relative_to(truth).as_posix(): path for path in truth.glob("*/*/*Ids.png")}
    trained = any(name.endswith("_labelTrainIds.png") for name in masks)
    ending = f"_{truth.name}_{'labelTrainIds' if trained else 'labelIds'}.png"
    for path in sorted(images.glob(f"*/*/*{PHOTO}")):
        name = path.relative_to(images).as_posix().removesuffix(PHOTO) + ending
        if name in masks:
            split = folder_meaning((path.parent.parent.name,)).split or "train"
            pairs.by_split[split].append(Pair(path, masks.pop(name)))
        else:
            pairs.without_mask.append(path)
    pairs.without_image = sorted(path for name, path in masks.items() if name.endswith(ending))
    return KnownMasks(
        pairs,
        tuple(CITYSCAPES),
        cityscapes_table(trained),
        {},
        tuple(color for _, color in CITYSCAPES.values()),
    )


def cityscapes_table(trained: bool) -> LabelTable:
    """Of labelTrainIds (0 to 18, 255 void), or of labelIds (0 to 33, of which 19 count)."""
    if trained:
        label_by_code = {number: number for number in range(len(CITYSCAPES))}
    else:
        label_by_code = dict.fromkeys(range(CITYSCAPES_LAST_ID + 1), IGNORE)
        label_by_code |= {number: label for label, (number, _) in enumerate(CITYSCAPES.values())}
    return LabelTable.of("index", {**label_by_code, IGNORE: IGNORE})


def find_coco(root: Path) -> tuple[str, KnownMasks, list[Problem]] | None:
    """COCO panoptic (json with segments beside a folder of PNG), or COCO semantic (a folder
    `*_pixelmaps`, or `stuffthingmaps`, whose numbers are category ids).

    Raises:
        DataError: an unreadable file, or one without categories.
    """
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    problems: list[Problem] = []
    panoptic = [file for file in sorted(folder.glob("panoptic_*.json")) if file.is_file()]
    if panoptic:
        return "coco-panoptic", _read_panoptic(root, panoptic, problems), problems
    maps = [child for child in sorted(folder.glob("*_pixelmaps")) if child.is_dir()]
    if maps:
        return "coco-semantic", _read_pixelmaps(root, maps), problems
    return None


def _read_panoptic(root: Path, files: list[Path], problems: list[Problem]) -> KnownMasks:
    pairs, tables = Pairs(), {}
    categories = _categories(_load(files[0]), files[0])
    labels = {number: label for label, number in enumerate(categories)}
    for file in files:
        values = _load(file)
        split = _split_of(file.stem)
        finder = ImageFinder(_images_folder(root, file.stem.removeprefix("panoptic_")))
        listed = [mapping(image) for image in sequence(values.get("images"))]
        names = {integer(image.get("id")): image.get("file_name") for image in listed}
        for number, item in enumerate(sequence(values["annotations"])):
            where = f"{file}, annotations[{number}]"
            entry = _panoptic_entry(mapping(item), labels)
            if isinstance(entry, str):
                problems.append(Problem("unreadable entry", where, f"{entry}; left out"))
                continue
            mask, image_id, label_by_code = entry
            name = names.get(image_id)
            path = finder.find(name if isinstance(name, str) else Path(mask).stem)
            mask_path = file.with_suffix("") / mask
            if not os.path.isfile(path):
                problems.append(Problem("missing image", str(path), f"of {mask}; left out"))
                continue
            if not os.path.isfile(mask_path):
                problems.append(Problem("missing mask", str(mask_path), f"of {path}; left out"))
                continue
            pairs.by_split[split].append(Pair(path, mask_path))
            tables[mask_path] = LabelTable.of("color", {0: IGNORE, **label_by_code})
    return KnownMasks(pairs, tuple(categories.values()), None, tables)


def _panoptic_entry(
    item: Mapping[Any, Any], labels: Mapping[int, int]
) -> tuple[str, int, dict[int, int]] | str:
    """Mask file, id of the image, and the label of each segment; or what is wrong."""
    mask, image_id = item.get("file_name"), integer(item.get("image_id"))
    if not isinstance(mask, str) or not mask or "\0" in mask:
        return f"file_name is {mask!r}, no name of a file"
    if image_id is None:
        return f"image_id is {item.get('image_id')!r}, no number"
    if not isinstance(item.get("segments_info"), list):
        return f"segments_info is {item.get('segments_info')!r}, no list"
    label_by_code: dict[int, int] = {}
    for place, segment in enumerate(item["segments_info"]):
        code = integer(mapping(segment).get("id"))
        category = integer(mapping(segment).get("category_id"))
        if code is None or category is None or not 0 <= code < 2**24:
            return f"segments_info[{place}] is {segment!r}, without numbers id and category_id"
        label_by_code[code] = labels.get(category, IGNORE)
    return mask, image_id, label_by_code


def _read_pixelmaps(root: Path, maps: list[Path]) -> KnownMasks:
    pairs = Pairs()
    categories: dict[int, str] = {}
    for folder in maps:
        stem = folder.name.removesuffix("_pixelmaps")
        file = folder.parent / f"{stem}.json"
        if not file.is_file():
            raise DataError(f"{folder}: no {file.name} beside it to name its classes; add it")
        categories = categories or _categories(_load(file), file)
        images = _images_folder(root, stem.removeprefix("stuff_"))
        files = sorted(images.iterdir())
        photos = {path.stem: path for path in files if is_image_name(path.name)}
        for mask in sorted(folder.glob("*.png")):
            path = photos.pop(mask.stem, None)
            if path is None:
                pairs.without_image.append(mask)
            else:
                pairs.by_split[_split_of(stem)].append(Pair(path, mask))
        pairs.without_mask += sorted(photos.values())
    label_by_code = {number: label for label, number in enumerate(categories)}
    table = LabelTable.of("index", {0: IGNORE, IGNORE: IGNORE, **label_by_code})
    return KnownMasks(pairs, tuple(categories.values()), table, {})


def _load(file: Path) -> Mapping[Any, Any]:
    values = mapping(read_json(file))
    if not {"annotations", "categories"} <= values.keys():
        raise DataError(f"{file}: has no annotations and categories; name a COCO panoptic file")
    return values


def _categories(values: Mapping[Any, Any], file: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for place, item in enumerate(sequence(values["categories"])):
        number, name = integer(mapping(item).get("id")), mapping(item).get("name")
        if number is None or not isinstance(name, (str, int)):
            raise DataError(
                f"{file}, categories[{place}]: is {item!r}, without a number id and a name; "
                "correct it"
            )
        if found.setdefault(number, str(name)) != str(name):
            raise DataError(f"{file}: two categories have the id {number}; give each its own")
    if not found:
        raise DataError(f"{file}: lists no categories; name a COCO panoptic or stuff file")
    return found


def _split_of(stem: str) -> str:
    return folder_meaning((stem,)).split or "all"


def _images_folder(root: Path, name: str) -> Path:
    """train2017, images/train2017, images/train, train or images, whichever exists first."""
    split = _split_of(name)
    aliases = [alias for alias, target in SPLIT_ALIASES.items() if target == split]
    candidates = [name, f"images/{name}", *(f"images/{alias}" for alias in aliases), *aliases]
    for candidate in (*candidates, "images"):
        if (root / candidate).is_dir():
            return root / candidate
    return root
