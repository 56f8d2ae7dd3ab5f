"""Which images a YOLO data set holds, and its names of classes: from data.yaml, from darknet's
obj.data, from lists of files, or from its folders alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from swinkit.data.problems import Problem
from swinkit.data.splits import SPLIT_ALIASES
from swinkit.detection.data.annotations import RawImage
from swinkit.detection.data.image_lookup import ImageLookup
from swinkit.detection.data.layouts import head_of, split_of, subfolders
from swinkit.errors import DataError
from swinkit.images.sources import passed_over, walk_images
from swinkit.parsing import integer, read_lines, read_yaml, sequence, short

MOST_CLASSES = 100_000
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt", "data/obj.names")
LIST_NAMES = ("train", "val", "valid", "test")
ENOUGH = 50  # images without a label file from which a folder counts as one without labels


@dataclass(kw_only=True)
class YoloLayout:
    """The images of each split ("all" where there is no split), and how to read their labels.

    Attributes:
        file: that names the images, or the folder that holds them.
        images: by split.
        class_names: in the order of the numbers, or None where no file gives them.
        key_points: numbers that stand behind each box of a data set of poses; 0 for none.
        problems: what the file names that is not there.
        notes: remarks.
    """

    file: Path
    images: dict[str, list[RawImage]] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    key_points: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, split: str, key: str, entries: Iterable[Any], bases: list[Path]) -> None:
        """Take the images of folders and of lists of files; entries that are not there are told."""
        found: dict[str, RawImage] = {image.where: image for image in self.images.get(split, [])}
        for entry in entries:
            target = resolve(str(entry), bases)
            if target is None:
                done = f"{key} is {str(entry)[:100]}, which is not there; correct it"
                self.problems.append(Problem("missing folder", str(self.file), done))
                continue
            listed = _in_folder(target) if target.is_dir() else _in_list(target, bases)
            if not listed:
                done = f"{key} is {str(entry)[:100]}, which has no images"
                self.problems.append(Problem("missing folder", str(self.file), done))
            elif target.is_dir():
                self._note_others(target, listed)
            found |= {image.where: image for image in listed}
        if found:
            self.images[split] = [found[where] for where in sorted(found, key=Path)]

    def take(self, split: str, folder: Path, images: list[RawImage]) -> None:
        """Take the images of a folder."""
        self.images[split] = images
        self._note_others(folder, images)

    def _note_others(self, folder: Path, images: list[RawImage]) -> None:
        used = {label_path(image.path) for image in images if image.path}
        names = {folder / name for name in NAME_FILES}
        self.notes += [f"{folder}: {line}" for line in passed_over(folder, used | names)]

    def finished(self) -> "YoloLayout":
        """The same, without validation images that are those of training.

        Raises:
            DataError: no images.
        """
        if not self.images:
            first = f": {self.problems[0].done}" if self.problems else "; correct path, train, val"
            raise DataError(f"{self.file}: none of its splits has images{first}")
        places = {split: [image.where for image in listed] for split, listed in self.images.items()}
        if "val" in places and places.get("train") == places["val"]:
            del self.images["val"]
            note = f"{self.file}: train and val are the same images; val is taken from train"
            self.notes.append(note)
        return self


def find_layout(path: Path) -> YoloLayout | None:
    """The YOLO data set at a folder, .yaml or .data file; None where there is none.

    Raises:
        DataError: a file that describes a data set, but whose names or folders cannot be used.
    """
    if path.is_file():
        if path.suffix.lower() in (".yaml", ".yml"):
            return _from_yaml(path, read_yaml(path))
        return _from_darknet(path, path.parent) if path.suffix.lower() == ".data" else None
    for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")]):
        head = head_of(file)
        if file.is_file() and (b"names" in head or b"nc" in head) and b"train" in head:
            found = _from_yaml(file, read_yaml(file))
            if found is not None:
                return found
    for file in sorted([*path.glob("*.data"), *path.glob("data/*.data"), *path.glob("cfg/*.data")]):
        head = head_of(file)
        if b"=" in head and (b"train" in head or b"valid" in head):
            darknet = _from_darknet(file, path)
            if darknet is not None:
                return darknet
    return _from_lists(path) or _from_folders(path)


def _from_yaml(file: Path, settings: Any) -> YoloLayout | None:
    """What the file says, if it describes a data set."""
    if not isinstance(settings, dict) or not {"names", "nc"} & set(settings):
        return None
    keys = {key: SPLIT_ALIASES[str(key).lower()] for key in settings if _is_split(key)}
    if not keys:
        return None
    bases = [file.parent]
    stated = settings.get("path")
    if isinstance(stated, str) and (base := resolve(stated, bases, any_tail=True)) is not None:
        bases.insert(0, base)
    layout = YoloLayout(file=file, class_names=_names(file, settings, bases))
    shape = [integer(value) for value in sequence(settings.get("kpt_shape"))]
    if len(shape) == 2 and shape[0] and shape[1]:
        layout.key_points = shape[0] * shape[1]
    elif "kpt_shape" in settings:
        raise DataError(
            f"{file}: kpt_shape is {short(settings['kpt_shape'])}; give [points, numbers a point]"
        )
    for key, split in keys.items():
        value = settings[key]
        entries = value if isinstance(value, list) else [value]
        layout.add(split, str(key), [entry for entry in entries if entry not in (None, "")], bases)
    return layout.finished()


def _is_split(key: object) -> bool:
    return isinstance(key, str) and key.lower() in SPLIT_ALIASES


def _names(file: Path, settings: Mapping[Any, Any], bases: list[Path]) -> tuple[str, ...] | None:
    """Names by number: a list, numbers with names, names with numbers, or a file of names."""
    value = settings.get("names")
    if isinstance(value, str) and (listed := resolve(value, bases, any_tail=True)) is not None:
        return _lines(listed)
    if value is None:
        count = integer(settings.get("nc"))
        known = count is not None and 0 < count < MOST_CLASSES
        beside = _names_beside(file.parent)
        return beside or (tuple(f"class {n}" for n in range(count or 0)) if known else None)
    if isinstance(value, list) and value and all(isinstance(n, (str, int, float)) for n in value):
        return tuple(str(name) for name in value)
    named = {integer(key): name for key, name in value.items()} if isinstance(value, dict) else {}
    if named and None in named:
        named = {integer(number): name for name, number in value.items()}
    numbers = [number for number in named if number is not None]
    sound = numbers and len(numbers) == len(named) == len(value)
    if sound and min(numbers) >= 0 and max(numbers) < MOST_CLASSES:
        return tuple(str(named.get(n, f"class {n}")) for n in range(max(numbers) + 1))
    raise DataError(f"{file}: names is {short(value)}; give a list, or numbers with names")


def _from_darknet(file: Path, root: Path) -> YoloLayout | None:
    """Darknet's and CVAT's file of `key = value` lines."""
    pairs = (line.split("=", 1) for line in read_lines(file) if "=" in line and line[0] != "#")
    settings = {key.strip().lower(): value.strip() for key, value in pairs}
    keys = {key: SPLIT_ALIASES[key] for key in settings if key in SPLIT_ALIASES}
    if not keys or not {"names", "classes"} & set(settings):
        return None
    bases = list(dict.fromkeys([root, file.parent, file.parent.parent]))
    named = resolve(settings.get("names", ""), bases, any_tail=True)
    names = _names_beside(root) if named is None else _lines(named)
    layout = YoloLayout(file=file, class_names=names)
    for key, split in keys.items():
        layout.add(split, key, [settings[key]], bases)
    return layout.finished()


def _from_lists(path: Path) -> YoloLayout | None:
    """Lists of files beside names of classes, as CVAT and darknet write them."""
    names = _names_beside(path)
    layout = YoloLayout(file=path, class_names=names)
    for name in LIST_NAMES if names else ():
        if (path / f"{name}.txt").is_file():
            layout.add(SPLIT_ALIASES[name], name, [f"{name}.txt"], [path])
    return layout.finished() if any(map(has_labels, layout.images.values())) else None


def _from_folders(path: Path) -> YoloLayout | None:
    """Images with label files, from images/train, train/images, train, images, or the folder."""
    layout = YoloLayout(file=path, class_names=_names_beside(path))
    folders = subfolders(path)
    images = [child for child in folders if child.name.lower() == "images"]
    for folder in [*(inner for base in images for inner in subfolders(base)), *folders]:
        split = split_of(folder.name)
        if split is None or split in layout.images:
            continue
        inner = next((c for c in (folder / "images", folder / "Images") if c.is_dir()), folder)
        listed = _in_folder(inner)
        if has_labels(listed):
            layout.take(split, inner, listed)
    if layout.images:
        return layout.finished()
    base = images[0] if images else path
    listed = [image for image in _in_folder(base) if images or Path(image.where).parent == path]
    if not has_labels(listed):
        return None
    layout.images["all"] = listed
    if images:
        layout.take("all", base, listed)
    return layout


def resolve(entry: str, bases: list[Path], *, any_tail: bool = False) -> Path | None:
    """The file or folder that a path means, which was written for another place; None for none.

    First as it stands; then by its last parts below each base, as exports write
    `../train/images` and `my-project/train/images` for what lies beside them. The last part alone
    counts where it names a split or a file, or with `any_tail`.
    """
    plain = entry.strip().replace("\\", "/")
    if not plain:
        return None
    parts = [part for part in PurePosixPath(plain).parts if part not in ("/", ".", "..")]
    tails = [PurePosixPath(*parts[skipped:]) for skipped in range(len(parts))]
    for tail in [PurePosixPath(plain), *tails]:
        alone = len(tail.parts) == 1 and str(tail) != plain and len(parts) > 1
        if alone and not (any_tail or split_of(tail.name) or tail.suffix == ".txt"):
            continue
        for base in bases:
            try:
                if (base / tail).exists():
                    return base / tail
            except (OSError, ValueError):  # no name that a file could have
                continue
    return None


def _in_folder(folder: Path) -> list[RawImage]:
    return [_image(path, str(path)) for path in walk_images(folder)]


def _in_list(file: Path, bases: list[Path]) -> list[RawImage]:
    """The images that a list names; `path` is None for those that are not there."""
    lookup = ImageLookup([file.parent, *bases])
    lines = dict.fromkeys(line for line in read_lines(file) if line)
    paths = {line: lookup.find(line) for line in lines}
    return [
        _image(found, f"{line} (in {file})" if found is None else str(found))
        for line, found in paths.items()
    ]


def _image(path: Path | None, where: str) -> RawImage:
    return RawImage(path=path, image_id=None, size_hw=None, where=where, name=where)


def label_path(image: Path) -> Path:
    """The label file of an image: in the folder labels where its path says images (the last one),
    else beside it."""
    parts = image.parts
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() != "images":
            continue
        for name in ("labels", "Labels"):
            swapped = Path(*parts[:place], name, *parts[place + 1 :]).with_suffix(".txt")
            if swapped.is_file() or Path(*parts[:place], name).is_dir():
                return swapped
    return image.with_suffix(".txt")


def has_labels(images: list[RawImage]) -> bool:
    """Whether one of the first images has a label file that starts like one."""
    for image in images[:ENOUGH]:
        if image.path is None:
            continue
        words = head_of(label_path(image.path)).lstrip().split(b"\n", 1)[0].split()
        if len(words) >= 5 and integer(words[0].decode(errors="replace")) is not None:
            return True
    return False


def _names_beside(path: Path) -> tuple[str, ...] | None:
    for folder in (path, path / "labels"):
        for name in NAME_FILES:
            if (folder / name).is_file():
                return _lines(folder / name)
    return None


def _lines(file: Path) -> tuple[str, ...] | None:
    """The lines of a file of names, without the empty ones at its end."""
    lines = read_lines(file)
    while lines and not lines[-1]:
        lines.pop()
    return tuple(line or f"class {n}" for n, line in enumerate(lines)) or None
