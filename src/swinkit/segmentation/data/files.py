"""The images and masks of a data set, and what is known of their numbers: folders of masks, ADE20K,
Cityscapes, COCO."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from swinkit.data.splits import SPLIT_ALIASES
from swinkit.errors import DataError
from swinkit.segmentation.data.folders import Pair, Pairs, find_pairs, folder_meaning
from swinkit.segmentation.data.legend import LegendLine, find_legend, read_legend
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
PAIRED = 0.5  # part of the images that must have a mask before a folder is taken for masks
LAYOUTS = (
    "folders of images and masks (images/train beside masks/train, train/images beside "
    "train/masks, train beside train_labels, JPEGImages beside SegmentationClass), x.jpg beside "
    "x_mask.png, ADE20K, Cityscapes (leftImg8bit beside gtFine), COCO panoptic or semantic"
)


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


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """A recognized data set.

    Attributes:
        kind: "masks", "ade20k", "cityscapes", "coco-panoptic" or "coco-semantic".
        pairs: images with masks.
        known: the meaning of the masks, where the kind tells it.
        legend: the data set's own class list, or None.
    """

    kind: str
    pairs: Pairs
    known: KnownMasks | None = None
    legend: tuple[LegendLine, ...] | None = None


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
        return MaskFiles(coco[0], coco[1].pairs, coco[1])
    pairs = find_pairs(path)
    if pairs.count() == 0:
        return None
    if is_ade20k(path, pairs):
        return MaskFiles("ade20k", pairs, ade20k(pairs))
    legend = find_legend(path)
    return MaskFiles("masks", pairs, None, None if legend is None else read_legend(legend))


def is_segmentation(path: Path) -> bool:
    """Whether a folder is a segmentation data set rather than another kind.

    Raises:
        DataError: as `find_mask_files`.
    """
    files = find_mask_files(path)
    if files is None:
        return False
    paired = files.pairs.count()
    return paired >= PAIRED * (paired + len(files.pairs.without_mask))


def require_mask_files(path: Path) -> MaskFiles:
    """`find_mask_files`, where there must be one.

    Raises:
        DataError: nothing there, or no image with a mask in it; says what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder; check the path")
    files = find_mask_files(path)
    if files is None or files.pairs.count() == 0:
        raise DataError(f"{path}: no images with masks found; looked for {LAYOUTS}")
    return files


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


def find_coco(root: Path) -> tuple[str, KnownMasks] | None:
    """COCO panoptic (json with segments beside a folder of PNG), or COCO semantic (a folder
    `*_pixelmaps`, or `stuffthingmaps`, whose numbers are category ids).

    Raises:
        DataError: an unreadable file, or one without categories.
    """
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    panoptic = sorted(folder.glob("panoptic_*.json"))
    if panoptic:
        return "coco-panoptic", _read_panoptic(root, panoptic)
    maps = sorted(folder.glob("*_pixelmaps"))
    if maps:
        return "coco-semantic", _read_pixelmaps(root, maps)
    return None


def _read_panoptic(root: Path, files: list[Path]) -> KnownMasks:
    pairs, tables = Pairs(), {}
    categories = _categories(_load(files[0]), files[0])
    labels = {number: label for label, number in enumerate(categories)}
    for file in files:
        values = _load(file)
        split = _split_of(file.stem)
        images = _images_folder(root, file.stem.removeprefix("panoptic_"))
        names = {image["id"]: image["file_name"] for image in values.get("images", [])}
        for item in values["annotations"]:
            mask = file.with_suffix("") / item["file_name"]
            path = images / names.get(item["image_id"], mask.with_suffix(".jpg").name)
            if not path.exists() or not mask.exists():
                (pairs.without_mask if path.exists() else pairs.without_image).append(
                    path if path.exists() else mask
                )
                continue
            pairs.by_split[split].append(Pair(path, mask))
            label_by_code = {
                segment["id"]: labels.get(segment["category_id"], IGNORE)
                for segment in item["segments_info"]
            }
            tables[mask] = LabelTable.of("color", {0: IGNORE, **label_by_code})
    return KnownMasks(pairs, tuple(categories.values()), None, tables)


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
        photos = {path.stem: path for path in images.glob("*.jpg")}
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


def _load(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(values, dict) or not {"annotations", "categories"} <= set(values):
        raise DataError(f"{file}: has no annotations and categories; name a COCO panoptic file")
    return values


def _categories(values: dict[str, Any], file: Path) -> dict[int, str]:
    found = {int(item["id"]): str(item["name"]) for item in values["categories"]}
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
