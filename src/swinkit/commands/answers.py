"""What `swinkit predict` says about one image, for each kind of model: entries, rows, pictures."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from swinkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from swinkit.classification.result import Classification
    from swinkit.detection.result import Detections
    from swinkit.segmentation.result import SemanticMap

Result: TypeAlias = Union["Classification", "Detections", "SemanticMap"]
MOST_NAMED = 6  # classes of an image that the table names


class Answers(Protocol):
    """How the results of a task are told. `columns` head the CSV file, `heading` the table."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def heading(self) -> tuple[str, ...]: ...

    def each(self) -> Iterator[Any]:
        """The results, one by one."""

    def entries(self, result: Any) -> list[dict[str, Any]]:
        """For the JSON file."""

    def rows(self, result: Any) -> list[tuple[Any, ...]]:
        """For the CSV file, after the source."""

    def cells(self, result: Any) -> list[str]:
        """For the table, after the source."""

    def plot(self, result: Any, path: Path) -> None:
        """Draw the image with its answer."""

    def mask(self, result: Any, path: Path) -> None:
        """Write a picture whose pixels are the answer."""


@dataclass(frozen=True, eq=False)
class ClassAnswers:
    """A classifier's: the best classes."""

    results: Iterable["Classification"]
    top_k: int
    classes: int
    columns = ("rank", "label", "probability")

    @property
    def heading(self) -> tuple[str, ...]:
        count = min(self.top_k, self.classes)
        return tuple(
            text for rank in range(count) for text in (f"{rank + 1}." if rank else "class", "%")
        )

    def each(self) -> Iterator["Classification"]:
        return iter(self.results)

    def entries(self, result: "Classification") -> list[dict[str, Any]]:
        return [result.to_dict(self.top_k)]

    def rows(self, result: "Classification") -> list[tuple[Any, ...]]:
        best = result.top(self.top_k)
        return [(rank, label, f"{value:.6f}") for rank, (label, value) in enumerate(best, start=1)]

    def cells(self, result: "Classification") -> list[str]:
        best = result.top(self.top_k)
        return [text for label, value in best for text in (label, f"{100 * value:.1f}")]

    def plot(self, result: "Classification", path: Path) -> None:
        result.plot(path, k=self.top_k)

    def mask(self, result: "Classification", path: Path) -> None:
        raise ConfigError("a classifier makes no masks; leave --masks out")


@dataclass(frozen=True, eq=False)
class ObjectAnswers:
    """A detector's: boxes, and masks where it makes them; its JSON is a COCO results file."""

    results: Iterable["Detections"]
    ids: "CocoIds"
    columns = ("label", "score", "left", "top", "right", "bottom")
    heading = ("objects", "which")

    def each(self) -> Iterator["Detections"]:
        return iter(self.results)

    def entries(self, result: "Detections") -> list[dict[str, Any]]:
        name = Path(result.source or "").name
        entries = result.to_coco(self.ids.image(name), self.ids.categories(result.class_names))
        return [
            {**entry, "file_name": name, "category_name": label}
            for entry, label in zip(entries, result.names, strict=True)
        ]

    def rows(self, result: "Detections") -> list[tuple[Any, ...]]:
        return [
            (label, f"{score:.6f}", *(f"{side:.2f}" for side in box))
            for label, score, box in zip(
                result.names, result.scores, result.boxes_xyxy, strict=True
            )
        ]

    def cells(self, result: "Detections") -> list[str]:
        named = sorted(result.counts().items(), key=lambda item: -item[1])
        return [str(len(result)), _listed([f"{number} {name}" for name, number in named])]

    def plot(self, result: "Detections", path: Path) -> None:
        result.plot(path)

    def mask(self, result: "Detections", path: Path) -> None:
        from PIL import Image

        from swinkit.detection.result import InstanceMasks
        from swinkit.files import atomic_write

        assert isinstance(result, InstanceMasks), "checked before anything was predicted"
        with atomic_write(path) as temporary:
            Image.fromarray(result.label_map()).save(temporary, format="PNG")


@dataclass(frozen=True, eq=False)
class MapAnswers:
    """A segmenter's: the share of each class."""

    results: Iterable["SemanticMap"]
    columns = ("label", "pixels", "share")
    heading = ("size", "classes")

    def each(self) -> Iterator["SemanticMap"]:
        return iter(self.results)

    def entries(self, result: "SemanticMap") -> list[dict[str, Any]]:
        return [result.to_dict()]

    def rows(self, result: "SemanticMap") -> list[tuple[Any, ...]]:
        areas = result.areas().items()
        return [(name, area, f"{area / result.labels.size:.6f}") for name, area in areas]

    def cells(self, result: "SemanticMap") -> list[str]:
        areas = result.areas().items()
        shares = [f"{name} {100 * area / result.labels.size:.0f}%" for name, area in areas]
        return ["x".join(map(str, result.size_hw)), _listed(shares)]

    def plot(self, result: "SemanticMap", path: Path) -> None:
        result.plot(path)

    def mask(self, result: "SemanticMap", path: Path) -> None:
        result.save_png(path)


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
        """The id of the image of that file name."""
        if self.of_images:
            if name not in self.of_images:
                raise DataError(f"{name}: the annotation file has no image of that name")
            return self.of_images[name]
        stem = Path(name).stem
        return int(stem) if stem.isascii() and stem.isdigit() else name

    def categories(self, class_names: Sequence[str]) -> list[int] | None:
        """The ids of the classes; None counts from 1."""
        if not self.of_classes:
            return None
        missing = [name for name in class_names if name not in self.of_classes]
        if missing:
            raise DataError(
                f"the annotation file has no category {', '.join(map(repr, missing[:5]))}, which "
                "the model finds; name the file that it was trained with"
            )
        return [self.of_classes[name] for name in class_names]


def _listed(texts: Sequence[str]) -> str:
    more = f", {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
