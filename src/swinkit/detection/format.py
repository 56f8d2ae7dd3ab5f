"""How detections are written: a COCO results file, CSV, a table, pictures. N objects, K classes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import DataError
from swinkit.files import atomic_write
from swinkit.task.base import ResultFormat, name_first


@dataclass(frozen=True)
class CocoIds:
    """Which ids images and classes have in a COCO results file.

    Without an annotation file the number in a name such as 000000397133.jpg is the image's id,
    any other name is its own, and the classes count from 1.
    """

    of_images: Mapping[str, int]
    of_classes: Mapping[str, int]

    @classmethod
    def read(cls, annotations: Path | None) -> "CocoIds":
        """Those of a COCO annotation file.

        Raises:
            DataError: no such file, or not of that kind.
        """
        if annotations is None:
            return cls({}, {})
        try:
            content = json.loads(annotations.read_text(encoding="utf-8"))
            images = {Path(image["file_name"]).name: image["id"] for image in content["images"]}
            classes = {entry["name"]: entry["id"] for entry in content["categories"]}
        except OSError as error:
            raise DataError(f"{annotations}: {error.strerror or error}; check the path") from error
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{annotations}: no COCO annotation file ({error!r})") from error
        return cls(images, classes)

    def image(self, name: str) -> int | str:
        """The id of the image of that file name. Raises DataError where the file has none."""
        if self.of_images:
            if name not in self.of_images:
                raise DataError(f"{name}: the annotation file has no image of that name")
            return self.of_images[name]
        stem = Path(name).stem
        return int(stem) if stem.isascii() and stem.isdigit() else name

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

    def __init__(self, ids: CocoIds) -> None:
        self.ids = ids

    def entries(self, result: Detections) -> list[dict[str, Any]]:
        """One per object, as in a COCO results file, with the names in clear."""
        name = Path(result.source or "").name
        entries = result.to_coco(self.ids.image(name), self.ids.categories(result.class_names))
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
        return [str(len(result)), name_first([f"{number} {name}" for name, number in named])]

    def plot(self, result: Detections, path: Path) -> None:
        """The image with its objects."""
        result.plot(path)

    def write_mask(self, result: Detections, path: Path) -> None:
        """The number of the object at each pixel, from 1, in 16 bits."""
        assert isinstance(result, InstanceMasks), "checked before anything was predicted"
        with atomic_write(path) as temporary:
            Image.fromarray(result.label_map()).save(temporary, format="PNG")
