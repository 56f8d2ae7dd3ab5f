"""`swinkit predict`: what is on images, by a trained model of any task."""

import csv
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from swinkit.commands.answers import (
    Answers,
    ClassAnswers,
    CocoIds,
    MapAnswers,
    ObjectAnswers,
    Result,
)
from swinkit.commands.loading import Device, ImageSize, load_model
from swinkit.commands.task_settings import refuse_settings_of_others, views_of
from swinkit.console import ImagesBar
from swinkit.errors import ConfigError
from swinkit.files import atomic_write
from swinkit.images.sources import find_images

if TYPE_CHECKING:
    from swinkit.classification.model import SwinClassifier
    from swinkit.detection.model import SwinDetector
    from swinkit.segmentation.model import SwinSegmenter

BATCH_SIZE = {"classifier": 16, "detector": 1, "segmenter": 1}
# Settings that only some tasks have, and those tasks.
OWNERS = {
    "top_k": ("classifier",),
    "score": ("detector",),
    "coco": ("detector",),
    "tile": ("detector",),
    "overlap": ("detector",),
    "soft_nms": ("detector",),
    "window": ("segmenter",),
    "stride": ("segmenter",),
    "augment": ("detector", "segmenter"),
    "scales": ("detector", "segmenter"),
    "masks": ("detector", "segmenter"),
}


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Classify images, find objects in them, or segment them: the weights decide."""

    sources: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
    ]
    """Images, folders of images or video frames, or quoted patterns such as 'photos/**/*.jpg'."""
    weights: str
    """A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."""
    json: Path | None = None
    """Write the answers to this file as JSON; - prints them instead of the table. A detector's is
    a COCO results file."""
    csv: Path | None = None
    """Write the answers to this file: a line per class, object, or class present."""
    plot: Path | None = None
    """Draw each image with its answer into this folder."""
    masks: Path | None = None
    """Write a PNG per image into this folder: the class of each pixel, in the classes' colours;
    of a detector the number of the object at each pixel, from 1, in 16 bits."""
    top_k: int = 3
    """Classifier: classes per image, most probable first."""
    score: float = 0.3
    """Detector: objects must score higher; 0.05 and less for measuring precision."""
    coco: Path | None = None
    """Detector: COCO annotation file that gives images and classes their ids in --json."""
    tile: int | None = None
    """Detector: look tile by tile, this many pixels a side, for huge images and small objects."""
    overlap: float = 0.2
    """Detector: share of a tile's side that neighbours have in common."""
    soft_nms: Literal["linear", "gaussian"] | None = None
    """Detector: lower the scores of overlapping objects instead of dropping them."""
    window: int | None = None
    """Segmenter: slide a window of this side over the image; memory stays bounded."""
    stride: int | None = None
    """Segmenter: steps of the window; None takes two thirds of it."""
    augment: bool = False
    """Detector, segmenter: look at each image mirrored too, and in the sizes of --scales."""
    scales: tuple[float, ...] = (0.75, 1.0, 1.25)
    """Sizes of --augment, as factors of the usual one."""
    skip_bad: bool = False
    """Leave unreadable images out and name them; without this the first one stops the command."""
    batch_size: int | None = None
    """Images (tiles, windows) per forward pass; None: 16 of a classifier, 1 of the others."""
    image_size: ImageSize = None
    """Side of the input in pixels, of detectors and segmenters the short one; None takes the
    model's own. "original" leaves their images as they are, for tiles and windows."""
    device: Device = "auto"
    """auto takes the GPU where there is one."""

    def run(self) -> None:
        """Predict, print and write.

        Raises:
            SwinkitError: no image, an unreadable one, unusable weights, or a refused write.
        """
        if not self.sources:
            raise ConfigError("no images to predict; name files, folders or patterns")
        if self.top_k < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise ConfigError(
                f"top-k is {self.top_k} and batch-size {self.batch_size}; both must be >= 1"
            )
        images = [path for source in self.sources for path in find_images(source)]
        told, names = _Told(), _FileNames()
        with ImagesBar() as bar:
            answers = self._answers(images, bar)
            bar.images(0, len(images))
            for number, result in enumerate(answers.each(), start=1):
                told.add(answers, result)
                name = names.of(result.source)
                if self.plot is not None:
                    answers.plot(result, self.plot / name)
                if self.masks is not None:
                    answers.mask(result, self.masks / name)
                bar.images(number, len(images))
        if not told.sources:
            raise ConfigError(f"none of the {len(images)} images is readable; name others")
        _name_skipped(images, told.sources)
        self._write(told, answers)
        if self.json != Path("-"):
            _print_table(told, answers.heading)

    def _answers(self, images: list[Path], bar: ImagesBar) -> Answers:
        from swinkit.classification.model import SwinClassifier

        model = load_model(self.weights, self.image_size, self.device)
        if isinstance(model, SwinClassifier):
            return self._classes(model, images)
        # Only now: it brings torchvision's operators, which take two seconds to import.
        from swinkit.detection.model import SwinDetector

        if isinstance(model, SwinDetector):
            return self._objects(model, images, bar)
        return self._maps(model, images, bar)

    def _classes(self, model: "SwinClassifier", images: list[Path]) -> Answers:
        from swinkit.classification.predict import each_class

        refuse_settings_of_others(self, OWNERS, "classifier")
        results = each_class(
            model,
            images,
            batch_size=self.batch_size or BATCH_SIZE["classifier"],
            on_error="skip" if self.skip_bad else "raise",
            keep_images=self.plot is not None,
        )
        return ClassAnswers(results, self.top_k, model.num_classes)

    def _objects(self, model: "SwinDetector", images: list[Path], bar: ImagesBar) -> Answers:
        from swinkit.detection.config import Suppression
        from swinkit.detection.predict import each_detection

        refuse_settings_of_others(self, OWNERS, "detector")
        if self.masks is not None and not model.config.has_masks:
            raise ConfigError("this detector finds boxes, no masks; leave --masks out")
        results = each_detection(
            model,
            images,
            score_threshold=self.score,
            batch_size=self.batch_size or BATCH_SIZE["detector"],
            tile=self.tile,
            overlap=self.overlap,
            augment=views_of(model, self.scales) if self.augment else None,
            suppression=Suppression(method=self.soft_nms) if self.soft_nms else None,
            on_error="skip" if self.skip_bad else "raise",
            keep_images=self.plot is not None,
            progress=bar.piece,
        )
        return ObjectAnswers(results, CocoIds.read(self.coco))

    def _maps(self, model: "SwinSegmenter", images: list[Path], bar: ImagesBar) -> Answers:
        from swinkit.segmentation.predict import each_map

        refuse_settings_of_others(self, OWNERS, "segmenter")
        results = each_map(
            model,
            images,
            window=self.window,
            stride=self.stride,
            scales=self.scales if self.augment else (1.0,),
            flip=self.augment,
            batch_size=self.batch_size or BATCH_SIZE["segmenter"],
            on_error="skip" if self.skip_bad else "raise",
            keep_images=self.plot is not None,
            progress=bar.piece,
        )
        return MapAnswers(results)

    def _write(self, told: "_Told", answers: Answers) -> None:
        if self.json is not None:
            text = json.dumps(told.entries, ensure_ascii=False, indent=1) + "\n"
            if self.json == Path("-"):
                sys.stdout.write(text)
            else:
                _write_text(self.json, text)
        if self.csv is not None:
            lines = io.StringIO()
            csv.writer(lines).writerows([("source", *answers.columns), *told.rows])
            _write_text(self.csv, lines.getvalue())


@dataclass
class _Told:
    """What is kept of the results: text, not pixels."""

    sources: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)

    def add(self, answers: Answers, result: Result) -> None:
        source = result.source or ""
        self.sources.append(source)
        self.entries += answers.entries(result)
        self.rows += [(source, *row) for row in answers.rows(result)]
        self.cells.append([source, *answers.cells(result)])


class _FileNames:
    """A name for each picture: its image's, with a number where another image had it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, source: str | None) -> str:
        stem = Path(source or "image").stem
        name, copy = stem, 2
        while name in self._taken:
            name, copy = f"{stem}-{copy}", copy + 1
        self._taken.add(name)
        return f"{name}.png"


def _name_skipped(images: list[Path], done: list[str]) -> None:
    skipped = [str(path) for path in images if str(path) not in set(done)]
    if skipped:
        listed = ", ".join(skipped)
        print(f"swinkit: skipped {len(skipped)} unreadable: {listed}", file=sys.stderr)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _print_table(told: _Told, heading: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("image", overflow="fold")
    for name in heading:
        table.add_column(name, overflow="fold", justify="right" if name == "%" else "left")
    for cells in told.cells:
        table.add_row(*map(Text, cells))
    Console().print(table)
