"""How results and lists are written."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from swinkit.data.splits import category_ids_of
from swinkit.errors import ConfigError, require

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

Result = TypeVar("Result")


class ImageResult(ABC):
    """What a model found on one image, as JSON and as a picture."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, letters of every script kept readable."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @abstractmethod
    def figure(self) -> "Figure":
        """The picture that `plot` writes."""

    def plot(self, path: str | Path | None = None) -> "Figure":
        """`figure`, written to a file as well where one is named.

        Args:
            path: picture file; its suffix chooses the format (.png, .pdf, .svg).

        Raises:
            MissingPackage: matplotlib is not installed.
            SwinkitError: a format that matplotlib does not write, or a file that cannot be written.
        """
        require("matplotlib")
        figure = self.figure()
        if path is not None:
            # Imported here because it takes longer than everything else that a prediction imports.
            from swinkit.pictures.drawing import save_figure

            save_figure(figure, Path(path))
        return figure


class CocoResult(ImageResult):
    """What a model found on one image, for COCO's tools too."""

    class_names: tuple[str, ...]

    @abstractmethod
    def coco_entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The label, and COCO's fields, of each thing found."""

    def to_coco(
        self, image_id: int | str, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file: one per object, or per class of a semantic map.

        Args:
            image_id: of this image in the annotation file.
            category_ids: K ids, one per class; by default 1, 2, ...

        Raises:
            SwinkitError: another number of ids than of classes.
        """
        ids = category_ids_of(self.class_names, category_ids)
        return [
            {"image_id": image_id, "category_id": ids[label], **fields}
            for label, fields in self.coco_entries()
        ]


class ResultFormat(ABC, Generic[Result]):
    """How a task's results are written.

    Attributes:
        columns: heads of the CSV file, after "source".
        heading: heads of the table on the terminal, after "image".
    """

    columns: tuple[str, ...]
    heading: tuple[str, ...]

    def entries(self, result: Result) -> list[dict[str, Any]]:
        """Entries of the JSON file; by default the result is one."""
        found: Any = result
        return [found.to_dict()]

    @abstractmethod
    def rows(self, result: Result) -> list[tuple[str | int | float, ...]]:
        """Rows of the CSV file, after the source."""

    @abstractmethod
    def cells(self, result: Result) -> list[str]:
        """Cells of the table, after the image."""

    def plot(self, result: Result, path: Path) -> None:
        """Draw the image with its result. Raises SwinkitError where the system refuses."""
        drawn: Any = result
        drawn.plot(path)

    def draw(self, result: Result) -> "np.ndarray":
        """(h, w, 3) uint8: the image with its result drawn on it, as a frame of a video."""
        drawn: Any = result
        return drawn.draw()

    def write_mask(self, result: Result, path: Path) -> None:
        """Write a PNG whose pixels are the result; for tasks with the option `masks`.

        Raises:
            ConfigError: a task whose results are no masks.
        """
        raise ConfigError("the results of this model are no masks; leave --masks out")
