"""From a path to labelled, checked, split samples."""

import random
from collections import defaultdict
from pathlib import Path

from swinkit.classification.data.folders import (
    Found,
    read_class_folder,
    read_folders,
    split_folders,
)
from swinkit.classification.data.lists import list_files, read_lists
from swinkit.classification.data.samples import Labelled, Sample, Splits, label_samples
from swinkit.data.config import DataConfig
from swinkit.data.scan import ScanReport, scan_images
from swinkit.data.splitting import SPLIT_ALIASES, name_some
from swinkit.errors import DataError


def load_splits(config: DataConfig, class_names: tuple[str, ...] | None = None) -> Splits:
    """Find, check, split and label the images of a data set.

    Splits that the data set does not have are taken from its training images by the fractions of
    `config`, class by class, the same ones on every machine.

    Args:
        config: where the data is and how to treat it.
        class_names: the classes and their order; None takes those of the training images, sorted.

    Raises:
        DataError: nothing there, fewer than two classes, a class without training images that
            another split has, or bad images where they are refused.
    """
    found, notes = _read(config.path, config.kind)
    found, scan = _check(found, config)
    complete = _complete(found, config, notes)
    names = class_names or tuple(sorted({name for _, name in complete["train"]}))
    if len(names) < 2:
        raise DataError(
            f"{config.path}: only one class ({name_some(list(names))}) has training images; "
            "a classifier needs two or more"
        )
    splits = {
        name: label_samples(images, names, f"{config.path}: the {name} split")
        for name, images in complete.items()
    }
    for split in splits:
        absent = sorted(set(names) - {name for _, name in complete[split]})
        if absent:
            notes.append(f"{config.path}: the {split} split has no image of {name_some(absent)}")
    return Splits(
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        class_names=names,
        notes=tuple(notes),
        scan=scan,
    )


def load_samples(
    path: str | Path, class_names: tuple[str, ...], *, split: str | None = None
) -> list[Sample]:
    """The samples to evaluate a trained model on.

    Args:
        path: anything that `load_splits` reads.
        class_names: the model's classes.
        split: "train", "val" or "test"; None takes the test split, else the validation split,
            else, where there are no splits, every image.

    Raises:
        DataError: no such split, or a class that the model does not know.
    """
    where = Path(path).expanduser()
    found, _ = _read(where, "auto", need_train=False)
    if split is None:
        chosen = next((name for name in ("test", "val", "all", "train") if name in found), "all")
    else:
        chosen = SPLIT_ALIASES.get(split.lower(), split)
    if chosen not in found:
        raise DataError(
            f"{where}: has no {split} split, only {name_some(sorted(found))}; name another"
        )
    return label_samples(found[chosen], class_names, f"{where}: the {chosen} split")


def _read(path: Path, kind: str, need_train: bool = True) -> Found:
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    if kind == "auto":
        kind = "lists" if path.is_file() or _has_train_list(path) else "folders"
    if kind == "lists":
        return read_lists(path)
    if not need_train and path.is_dir():
        folders = split_folders(path)
        if folders:
            return {name: read_class_folder(folder)[0] for name, folder in folders.items()}, []
    return read_folders(path)


def _has_train_list(folder: Path) -> bool:
    names = {child.name.lower() for child in folder.iterdir()}
    return bool(names & {"train.csv", "training.csv"}) and "train" in list_files(folder)


def _check(found: dict[str, list[Labelled]], config: DataConfig) -> tuple[dict, ScanReport | None]:
    paths = [path for images in found.values() for path, _ in images]
    if config.scan == "none":
        return found, None
    report = scan_images(paths, mode=config.scan, channels=config.channels)
    if not report.bad:
        return found, report
    named = name_some([f"{path} ({reason})" for path, reason in report.bad], most=3)
    if config.on_bad_image == "refuse":
        raise DataError(
            f"{config.path}: {len(report.bad)} of {len(paths)} images are bad: {named}; "
            "repair or remove them, or let on_bad_image skip them"
        )
    if not report.ok:
        raise DataError(f"{config.path}: all {len(paths)} images are bad: {named}; repair them")
    bad = {path for path, _ in report.bad}
    good = {
        split: [(path, name) for path, name in images if path not in bad]
        for split, images in found.items()
    }
    return good, report


def _complete(
    found: dict[str, list[Labelled]], config: DataConfig, notes: list[str]
) -> dict[str, list[Labelled]]:
    splits = {name: images for name, images in found.items() if name != "all"}
    rest = found.get("all", found.get("train", []))
    wanted = {}
    if "val" not in splits:
        wanted["val"] = config.val_fraction
    if "test" not in splits and config.test_fraction > 0:
        wanted["test"] = config.test_fraction
    if wanted:
        parts = hold_out(rest, wanted, config.split_seed, config.path)
        if "all" not in found:
            notes.append(f"{config.path}: no {' and no '.join(wanted)} split: taken from train")
    else:
        parts = {"train": rest}
    complete = {**splits, **parts}
    if not complete["train"]:
        raise DataError(f"{config.path}: no training images are left; add some")
    if not complete["val"]:
        raise DataError(
            f"{config.path}: no image is left for validation; every class needs two images or more"
        )
    ordered = ("train", "val", "test")
    return {name: complete[name] for name in ordered if name in complete}


def hold_out(
    images: list[Labelled], fractions: dict[str, float], seed: int, root: Path
) -> dict[str, list[Labelled]]:
    """Split class by class: the fractions under their names, the rest under "train".

    Every class keeps a training image, and gives at least one to each split while it has enough.
    The choice depends on the seed, the class and the paths below `root`, on nothing else.
    """
    by_class: dict[str, list[Path]] = defaultdict(list)
    for path, name in images:
        by_class[name].append(path)
    parts: dict[str, list[Labelled]] = {name: [] for name in ("train", *fractions)}
    for name, paths in sorted(by_class.items()):
        ordered = sorted(paths, key=lambda path: _relative(path, root))
        random.Random(f"{seed}/{name}").shuffle(ordered)
        start = 0
        for part, fraction in fractions.items():
            most = len(ordered) - 1 - start
            count = min(most, max(1, round(len(ordered) * fraction)))
            parts[part] += [(path, name) for path in ordered[start : start + count]]
            start += count
        parts["train"] += [(path, name) for path in ordered[start:]]
    return parts


def _relative(path: Path, root: Path) -> str:
    folder = root if root.is_dir() else root.parent
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
