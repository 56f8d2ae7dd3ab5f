"""`swinkit predict`: what is on images, by a trained model of any task."""

import csv
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from swinkit.commands.loading import (
    Device,
    ImageSize,
    load_model,
    task_options,
    with_task_options,
)
from swinkit.console import ImagesBar, table
from swinkit.errors import ConfigError
from swinkit.files import atomic_write
from swinkit.images.sources import find_images
from swinkit.registry import get_task
from swinkit.task.base import ResultFormat, Task


def _options(task: Task[Any, Any]) -> type[Any]:
    return task.predict_options


@dataclass(frozen=True, kw_only=True)
class PredictCommand:
    """The options of `swinkit predict` that all tasks have."""

    sources: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
    ]
    """Images, folders of images or video frames, or quoted patterns such as 'photos/**/*.jpg'."""
    weights: str
    """A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."""
    json: Path | None = None
    """Write the results to this file as JSON; - prints them instead of the table. A detector's is
    a COCO results file."""
    csv: Path | None = None
    """Write the results to this file: a line per class, object, or class present."""
    plot: Path | None = None
    """Draw each image with its result into this folder."""
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
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"batch-size is {self.batch_size}; it must be >= 1")
        images = [path for source in self.sources for path in find_images(source)]
        model = load_model(self.weights, self.image_size, self.device)
        task = get_task(model.task)
        options = task_options(self, model, _options, self.weights)
        format_ = task.result_format(model, options)
        masks: Path | None = getattr(options, "masks", None)
        written, names = _Written(), _FileNames()
        with ImagesBar() as bar:
            results = task.predict(
                model,
                images,
                options,
                batch_size=self.batch_size or task.predict_batch_size,
                on_error="skip" if self.skip_bad else "raise",
                keep_images=self.plot is not None,
                progress=bar.piece,
            )
            bar.images(0, len(images))
            for number, result in enumerate(results, start=1):
                written.add(format_, result)
                name = names.of(result.source)
                if self.plot is not None:
                    format_.plot(result, self.plot / name)
                if masks is not None:
                    format_.write_mask(result, masks / name)
                bar.images(number, len(images))
        if not written.sources:
            raise ConfigError(f"none of the {len(images)} images is readable; name others")
        _name_skipped(images, written.sources)
        self._write(written, format_)
        if self.json != Path("-"):
            _print_table(written, format_.heading)

    def _write(self, written: "_Written", format_: ResultFormat[Any]) -> None:
        if self.json is not None:
            text = json.dumps(written.entries, ensure_ascii=False, indent=1) + "\n"
            if self.json == Path("-"):
                sys.stdout.write(text)
            else:
                _write_text(self.json, text)
        if self.csv is not None:
            lines = io.StringIO()
            csv.writer(lines).writerows([("source", *format_.columns), *written.rows])
            _write_text(self.csv, lines.getvalue())


Predict = with_task_options(
    PredictCommand,
    _options,
    "Classify images, detect objects in them, or segment them: the weights decide.",
)


@dataclass
class _Written:
    """What is kept of the results: text, not pixels."""

    sources: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)

    def add(self, format_: ResultFormat[Any], result: Any) -> None:
        source = result.source or ""
        self.sources.append(source)
        self.entries += format_.entries(result)
        self.rows += [(source, *row) for row in format_.rows(result)]
        self.cells.append([source, *format_.cells(result)])


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
    present = set(done)
    skipped = [str(path) for path in images if str(path) not in present]
    if skipped:
        listed = ", ".join(skipped)
        print(f"swinkit: skipped {len(skipped)} unreadable: {listed}", file=sys.stderr)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _print_table(written: _Written, heading: tuple[str, ...]) -> None:
    numbers = [place for place, name in enumerate(heading, start=1) if name == "%"]
    Console().print(table(("image", *heading), written.cells, numbers=numbers))
