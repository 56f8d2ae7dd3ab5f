"""A class for every pixel of an image, as validated values. H W image, K classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from swinkit.errors import SwinkitError, require
from swinkit.files import atomic_write
from swinkit.images.masks import place_crops, to_coco
from swinkit.images.reading import check_rgb
from swinkit.pictures.annotating import draw_regions, regions_figure
from swinkit.pictures.drawing import class_colors
from swinkit.task.format import CocoResult

if TYPE_CHECKING:
    import supervision
    from matplotlib.figure import Figure

VOID = 255  # label of pixels that no class claims, as data sets write it; up to 255 classes
SUM_TOLERANCE = 1e-2  # as for a classification's probabilities
PNG_CLASSES = 256


@dataclass(frozen=True, eq=False)
class SemanticMap(CocoResult):
    """The class of every pixel of one image.

    Attributes:
        class_names: K names.
        labels: (H, W) places in `class_names`, uint8, or uint16 for more than 255 classes;
            255 marks pixels without a class, where there are no more than 255 classes. Kept,
            as the next two, as read-only.
        probabilities: (K, H, W), float32 or float16, summing to 1 over K; None where not kept.
        palette: (K, 3) uint8 RGB colors of the classes; by default swinkit's.
        source: the file, or whatever else names the image.
        image_rgb: the image as read, (H, W, 3) uint8, for `plot`.
        seconds: time that this image took.

    Raises:
        SwinkitError: shapes that do not fit each other, labels outside the classes.

    Example:
        >>> import numpy as np
        >>> from swinkit import SemanticMap
        >>> found = SemanticMap(("sky", "road"), np.array([[0, 0, 0], [1, 1, 255]]))
        >>> found
        SemanticMap(2x3: sky 50%, road 33%)
        >>> found.areas()
        {'sky': 3, 'road': 2}
        >>> int(found.mask("road").sum())
        2
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray | None = None
    palette: np.ndarray | None = None
    source: str | None = None
    image_rgb: np.ndarray | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        where = f" for {self.source}" if self.source else ""
        names = tuple(str(name) for name in self.class_names)
        if not names:
            raise SwinkitError("a semantic map needs at least one class name, got none")
        object.__setattr__(self, "class_names", names)
        labels = _checked_labels(self.labels, len(names), where)
        object.__setattr__(self, "labels", labels)
        if self.probabilities is not None:
            values = _checked_probabilities(self.probabilities, (len(names), *labels.shape), where)
            object.__setattr__(self, "probabilities", values)
        palette = class_colors(len(names)) if self.palette is None else np.array(self.palette)
        if palette.shape != (len(names), 3) or palette.dtype != np.uint8:
            raise SwinkitError(
                f"palette{where}: expected ({len(names)}, 3) uint8, got {palette.shape} "
                f"{palette.dtype}"
            )
        palette.flags.writeable = False
        object.__setattr__(self, "palette", palette)
        if self.image_rgb is not None:
            check_rgb(self.image_rgb, where, self.size_hw)

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def colors_rgb(self) -> np.ndarray:
        """(K, 3) uint8: the colors of the classes."""
        assert self.palette is not None
        return self.palette

    def areas(self) -> dict[str, int]:
        """Pixels of each class that has any, largest first."""
        counts = np.bincount(self.labels.reshape(-1), minlength=VOID + 1)[: len(self.class_names)]
        order = np.argsort(-counts, kind="stable")
        return {self.class_names[k]: int(counts[k]) for k in order if counts[k]}

    def mask(self, name: str) -> np.ndarray:
        """(H, W) bool: the pixels of a class.

        Raises:
            SwinkitError: no class of that name.
        """
        if name not in self.class_names:
            raise SwinkitError(f"no class {name!r}; choose one of {', '.join(self.class_names)}")
        return self.labels == self.class_names.index(name)

    def polygons(self, smallest: int = 0) -> dict[str, list[np.ndarray]]:
        """The outlines of each class's regions, largest class first.

        Args:
            smallest: regions whose outline encloses fewer square pixels are left out.

        Returns:
            Polygons (P, 2) int32 of x, y by class name; an outline within another one of the
            same class is a hole.
        """
        sv = require("supervision")
        found = {}
        for name in self.areas():
            outlines = sv.mask_to_polygons(self.mask(name))
            found[name] = [part for part in outlines if _enclosed(part) >= smallest]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold: the share of each class, without the pixels."""
        pixels = self.labels.size
        return {
            "source": self.source,
            "size_hw": list(self.size_hw),
            "seconds": self.seconds,
            "classes": [
                {"label": name, "pixels": area, "share": area / pixels}
                for name, area in self.areas().items()
            ],
        }

    def coco_entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The label of each class present, its pixels as COCO's run lengths."""
        for name in self.areas():
            mask = place_crops([self.mask(name)], [(0, 0)], self.size_hw)
            yield self.class_names.index(name), {"segmentation": to_coco(mask, 0)}

    def to_supervision(self) -> "supervision.Detections":
        """One detection per class present, for the tools of the package supervision."""
        sv = require("supervision")
        names = list(self.areas())
        masks = np.array([self.mask(name) for name in names]).reshape(-1, *self.size_hw)
        return sv.Detections(
            xyxy=sv.mask_to_xyxy(masks).astype(np.float32),
            mask=masks,
            class_id=np.array([self.class_names.index(name) for name in names], np.int64),
            data={"class_name": np.array(names, dtype=np.str_)},
        )

    def save_png(self, path: str | Path) -> None:
        """Write the labels as a PNG with palette: its pixel values are the labels.

        Raises:
            SwinkitError: more than 256 classes, or a file that cannot be written.
        """
        if len(self.class_names) > PNG_CLASSES:
            raise SwinkitError(
                f"a palette PNG holds {PNG_CLASSES} classes, here are {len(self.class_names)}; "
                "save `labels` with numpy.save"
            )
        picture = Image.fromarray(self.labels.astype(np.uint8))
        # All 256 entries: with fewer, Pillow writes fewer bits per pixel, which cut off VOID.
        picture.putpalette(self.colors_rgb.tobytes().ljust(3 * PNG_CLASSES, b"\0"))
        with atomic_write(path) as temporary:
            picture.save(temporary, format="PNG")

    def draw(self, opacity: float = 0.55) -> np.ndarray:
        """The image under its classes' colors, (h, w, 3) uint8 RGB, in a size to display.

        Args:
            opacity: of the colors, 0..1.
        """
        return draw_regions(self.image_rgb, self.labels, self.colors_rgb, opacity)

    def figure(self) -> "Figure":
        """`draw` beside a list of the classes present and their shares."""
        shares = {name: area / self.labels.size for name, area in self.areas().items()}
        colors = [self.colors_rgb[self.class_names.index(name)] for name in shares]
        return regions_figure(self.draw(), shares, colors)

    def __repr__(self) -> str:
        top = ", ".join(
            f"{n} {a / self.labels.size:.0%}" for n, a in list(self.areas().items())[:5]
        )
        where = f", source={self.source!r}" if self.source else ""
        return f"SemanticMap({self.size_hw[0]}x{self.size_hw[1]}: {top or 'no class'}{where})"


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds the labels of so many classes."""
    return np.uint8 if classes <= VOID + 1 else np.uint16


def _checked_labels(values: Any, classes: int, where: str) -> np.ndarray:
    given = np.asarray(values)
    if given.ndim != 2 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        raise SwinkitError(
            f"labels{where}: expected (H, W) integers with pixels, got {given.shape} {given.dtype}"
        )
    low, high = int(given.min()), int(given.max())
    if high >= classes and classes <= VOID:
        high = int(given.max(initial=0, where=given != VOID))
    if low < 0 or high >= classes:
        raise SwinkitError(
            f"labels{where}: expected 0..{classes - 1}, one of the class names, got {low}..{high}"
        )
    labels = given.astype(label_type(classes))
    labels.flags.writeable = False
    return labels


def _checked_probabilities(values: Any, expected: tuple[int, int, int], where: str) -> np.ndarray:
    given = np.asarray(values)
    if given.shape != expected:
        raise SwinkitError(f"probabilities{where}: expected shape {expected}, got {given.shape}")
    if not np.isfinite(given).all():
        raise SwinkitError(
            f"probabilities{where}: {int((~np.isfinite(given)).sum())} of {given.size} are NaN or "
            "infinite; the model's weights are damaged or its numbers overflowed"
        )
    totals = given.sum(axis=0, dtype=np.float32)
    if given.min() < 0 or np.abs(totals - 1).max() > SUM_TOLERANCE:
        raise SwinkitError(
            f"probabilities{where}: expected sum 1 at every pixel, got {totals.min():.4g}.."
            f"{totals.max():.4g}; apply softmax to logits first"
        )
    frozen = given.view()
    frozen.flags.writeable = False
    return frozen


def _enclosed(polygon_xy: np.ndarray) -> float:
    x, y = polygon_xy[:, 0].astype(np.float64), polygon_xy[:, 1].astype(np.float64)
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
