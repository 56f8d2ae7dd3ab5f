"""How detections are written: a COCO results file, CSV, a table, pictures. N objects, K classes."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from swinkit.data.splits import name_some
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import DataError
from swinkit.files import atomic_write
from swinkit.parsing import mapping, read_json
from swinkit.task.format import ResultFormat


@dataclass(frozen=True)
class CocoIds:
    """Which ids images and classes have in a COCO results file.

    Attributes:
        of_images: by the image's path. Without an annotation file the number in a name such as
            000000397133.jpg is the image's id, and the whole name where it is no number or where
            another image has the same one.
        of_classes: by name; without an annotation file they count from 1.
    """

    of_images: Mapping[str, int | str]
    of_classes: Mapping[str, int]

    @classmethod
    def of(cls, names: Mapping[str, str], annotations: Path | None = None) -> "CocoIds":
        """The ids of images.

        Args:
            names: of the images, with the folders that tell them apart, by their paths.
            annotations: a COCO annotation file that has all of them; images are found in it by
                the longest end of the path that agrees.

        Raises:
            DataError: no such file, not of that kind, or an image that is not in it or fits two.
        """
        if annotations is None:
            having = Counter(_number(name) for name in set(names.values()))
            numbers = {path: _number(name) for path, name in names.items()}
            ids = {
                path: names[path] if number is None or having[number] > 1 else number
                for path, number in numbers.items()
            }
            return cls(ids, {})
        content = mapping(read_json(annotations))
        try:
            images = [(str(image["file_name"]), image["id"]) for image in content["images"]]
            classes = {entry["name"]: entry["id"] for entry in content["categories"]}
            if not all(isinstance(number, (int, str)) for _, number in images):
                raise TypeError("an image's id is neither a number nor a text")
        except (TypeError, KeyError) as error:
            raise DataError(f"{annotations}: no COCO annotation file ({error!r})") from error
        return cls(_find_ids(names, images, annotations), classes)

    def categories(self, class_names: Sequence[str]) -> list[int] | None:
        """(K,) ids of the classes; None counts from 1. Raises DataError where one is missing."""
        if not self.of_classes:
            return None
        missing = [name for name in class_names if name not in self.of_classes]
        if missing:
            raise DataError(
                f"the annotation file has no category {', '.join(map(repr, missing[:5]))}, which "
                "the model finds; name the file that it was trained with"
            )
        return [self.of_classes[name] for name in class_names]


class DetectionFormat(ResultFormat[Detections]):
    """Boxes, and masks where there are any."""

    columns = ("label", "score", "left", "top", "right", "bottom")
    heading = ("objects", "which")

    def __init__(self, names: Mapping[str, str], ids: CocoIds) -> None:
        self.names = names
        self.ids = ids

    def entries(self, result: Detections) -> list[dict[str, Any]]:
        """One per object, as in a COCO results file, with the names in clear."""
        source = result.source or ""
        name = self.names[source]
        categories = self.ids.categories(result.class_names)
        entries = result.to_coco(self.ids.of_images.get(source, name), categories)
        return [
            {**entry, "file_name": name, "category_name": label}
            for entry, label in zip(entries, result.names, strict=True)
        ]

    def rows(self, result: Detections) -> list[tuple[str | int | float, ...]]:
        """One per object."""
        return [
            (label, f"{score:.6f}", *(f"{side:.2f}" for side in box))
            for label, score, box in zip(
                result.names, result.scores, result.boxes_xyxy, strict=True
            )
        ]

    def cells(self, result: Detections) -> list[str]:
        """How many, and of which classes."""
        named = sorted(result.counts().items(), key=lambda item: -item[1])
        return [str(len(result)), name_some([f"{number} {name}" for name, number in named], 6)]

    def write_mask(self, result: Detections, path: Path) -> None:
        """The number of the object at each pixel, from 1, in 16 bits."""
        assert isinstance(result, InstanceMasks), "checked before anything was predicted"
        with atomic_write(path) as temporary:
            Image.fromarray(result.label_map()).save(temporary, format="PNG")


def _number(name: str) -> int | None:
    stem = Path(name).stem
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= 18 else None


def _find_ids(
    names: Iterable[str], images: Iterable[tuple[str, int | str]], annotations: Path
) -> dict[str, int | str]:
    """The id of each image by its path. Raises DataError where that is not one image's alone.

    Args:
        names: paths of the images.
        images: file name and id of those in the annotation file.
    """
    by_end: dict[tuple[str, ...], list[str]] = defaultdict(list)
    known = {}
    for name, number in images:
        known[f"{name} (id {number})"] = number
        parts = Path(name.replace("\\", "/")).parts
        for start in range(len(parts)):
            by_end[parts[start:]].append(f"{name} (id {number})")
    longest = max(map(len, by_end), default=0)
    found: dict[str, int | str] = {}
    owners: dict[str, str] = {}
    for path in names:
        absolute = Path(os.path.abspath(path))
        ends = (absolute.parts[-count:] for count in range(longest, 0, -1))
        best = next((by_end[end] for end in ends if end in by_end), [])
        if len(best) != 1:
            fits = f"fits {best[0]} and {best[1]}" if best else "fits no image"
            raise DataError(
                f"{path}: {fits} in {annotations}; name images by paths that end as there"
            )
        other = owners.setdefault(best[0], str(absolute))
        if other != str(absolute):
            raise DataError(
                f"{other} and {absolute} both fit {best[0]} in {annotations}; leave one out"
            )
        found[path] = known[best[0]]
    return found
