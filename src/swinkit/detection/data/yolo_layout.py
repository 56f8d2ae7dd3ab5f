"""Where a YOLO data set keeps its images, labels and names."""

from pathlib import Path
from typing import Any

import yaml

from swinkit.data.splitting import SPLIT_ALIASES
from swinkit.detection.data.yolo import MOST_CLASSES, YoloLayout, label_path
from swinkit.errors import DataError
from swinkit.images.sources import walk_images

NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
SPLIT_KEYS = ("train", "val", "valid", "test")
ENOUGH = 50  # images looked at before a folder counts as one without labels


def find_yolo(path: Path) -> YoloLayout | None:
    """The YOLO data set at a folder or .yaml file; None where there is none.

    Raises:
        DataError: a .yaml file whose names or folders cannot be used.
    """
    if path.is_file():
        settings = _settings(path) if path.suffix.lower() in (".yaml", ".yml") else None
        return None if settings is None else _from_settings(path, settings)
    for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")]):
        settings = _settings(file)
        if settings is not None:
            return _from_settings(file, settings)
    found = _from_folders(path)
    if not found:
        return None
    return YoloLayout(images=found, class_names=_names_beside(path))


def _settings(file: Path) -> dict[str, Any] | None:
    """What the file says, if it describes a data set."""
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # some other file: not for us
        return None
    if not isinstance(settings, dict) or "names" not in settings:
        return None
    return settings if any(key in settings for key in SPLIT_KEYS) else None


def _from_settings(file: Path, settings: dict[str, Any]) -> YoloLayout:
    names = _names(file, settings["names"])
    base = file.parent
    stated = settings.get("path")
    if isinstance(stated, str):
        tried = (Path(stated), file.parent / stated)
        base = next((folder for folder in tried if folder.is_dir()), file.parent)
    images: dict[str, list[Path]] = {}
    for key in SPLIT_KEYS:
        value = settings.get(key)
        if not value or SPLIT_ALIASES[key] in images:
            continue
        entries = value if isinstance(value, list) else [value]
        found = [image for entry in entries for image in _images_of(file, base, str(entry))]
        if found:
            images[SPLIT_ALIASES[key]] = sorted(dict.fromkeys(found))
    if not images:
        raise DataError(
            f"{file}: none of its {', '.join(k for k in SPLIT_KEYS if k in settings)} has images; "
            f"looked below {base}; correct path, train and val"
        )
    same = "val" in images and images.get("train") == images["val"]
    if same:
        del images["val"]
    notes = (f"{file}: train and val are the same images; val is taken from train",) if same else ()
    return YoloLayout(images=images, class_names=names, notes=notes)


def _names(file: Path, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and value:
        return tuple(str(name) for name in value)
    whole = isinstance(value, dict) and all(isinstance(key, int) for key in value)
    if whole and value and min(value) >= 0 and max(value) < MOST_CLASSES:
        return tuple(str(value.get(key, f"class {key}")) for key in range(max(value) + 1))
    raise DataError(f"{file}: names is {str(value)[:60]!r}; give a list, or numbers with names")


def _images_of(file: Path, base: Path, entry: str) -> list[Path]:
    """Images of a folder or of a text list; a leading ../ that leads nowhere is dropped, because
    exports write paths for another place."""
    plain = entry.replace("\\", "/").strip()
    stripped = plain
    while stripped.startswith(("../", "./")):
        stripped = stripped.split("/", 1)[1]
    for target in (base / plain, file.parent / plain, base / stripped, file.parent / stripped):
        if target.is_dir():
            return walk_images(target)
        if target.is_file() and target.suffix == ".txt":
            lines = target.read_text(encoding="utf-8").splitlines()
            return [_listed(base, target, line.strip()) for line in lines if line.strip()]
    return []


def _listed(base: Path, listing: Path, line: str) -> Path:
    for folder in (base, listing.parent):
        if (folder / line).is_file():
            return folder / line
    return base / line


def _from_folders(path: Path) -> dict[str, list[Path]]:
    """Images with a label file, from images/train, train/images, images, or the folder itself."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(path.iterdir()):
        split = SPLIT_ALIASES.get(folder.name.lower())
        if split is None and folder.is_dir() and folder.name.lower() == "images":
            for inner in sorted(child for child in folder.iterdir() if child.is_dir()):
                name = SPLIT_ALIASES.get(inner.name.lower())
                if name is not None and _has_labels(images := walk_images(inner)):
                    found[name] = images
        elif split is not None and folder.is_dir() and (folder / "images").is_dir():
            images = walk_images(folder / "images")
            if _has_labels(images):
                found[split] = images
    if found:
        return found
    base = path / "images" if (path / "images").is_dir() else path
    images = [child for child in walk_images(base) if base != path or child.parent == path]
    return {"all": images} if _has_labels(images) else {}


def _has_labels(images: list[Path]) -> bool:
    """Whether one of the first images has a label file that starts like one."""
    for image in images[:ENOUGH]:
        file = label_path(image)
        if not file.is_file():
            continue
        words = file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].split()
        if len(words) >= 5 and words[0].isdigit():
            return True
    return False


def _names_beside(path: Path) -> tuple[str, ...] | None:
    for folder in (path, path / "labels"):
        for name in NAME_FILES:
            file = folder / name
            if file.is_file():
                lines = file.read_text(encoding="utf-8").splitlines()
                return tuple(line.strip() for line in lines if line.strip()) or None
    return None
