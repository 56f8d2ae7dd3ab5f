"""`swinkit predict`: what is on images, by a trained model of any task."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from swinkit.commands.loading import (
    Device,
    ImageSize,
    check_common,
    load_model,
    task_options,
    with_task_options,
)
from swinkit.commands.outputs import (
    PictureNames,
    ResultWriter,
    is_standard_output,
    open_output,
)
from swinkit.console import ImagesBar
from swinkit.errors import ConfigError, ImageError, one_line
from swinkit.images.sources import find_images, names_below
from swinkit.registry import get_task
from swinkit.task.base import ResultFormat, Task, name_first

if TYPE_CHECKING:
    from swinkit.task.model import TaskModel


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
        check_common(self)
        if not self.sources:
            raise ConfigError("no images to predict; name files, folders or patterns")
        if is_standard_output(self.json) and is_standard_output(self.csv):
            raise ConfigError("--json and --csv cannot both be printed; name a file for one")
        images, skipped = self._find()
        names = names_below(self.sources, images)
        with contextlib.ExitStack() as files:
            # Opened before the weights, so that a refusal comes at once.
            json_file = files.enter_context(open_output(self.json))
            csv_file = files.enter_context(open_output(self.csv))
            model = load_model(self.weights, self.image_size, self.device)
            options = task_options(self, model, _options, self.weights)
            format_ = get_task(model.task).result_format(model, options, names)
            writer = ResultWriter(format_, json_file, csv_file)
            skipped += self._write_each(model, images, names, options, format_, writer)
            if not writer.images:
                raise ConfigError(f"none of the {len(images)} images is readable; name others")
            writer.finish()
        if skipped:
            listed = name_first(skipped, 20)
            said = one_line(f"skipped {len(skipped)} unreadable: {listed}")
            print(f"swinkit: {said}", file=sys.stderr)
        if not any(is_standard_output(path) for path in (self.json, self.csv)):
            writer.print_table()

    def _find(self) -> tuple[list[Path], list[str]]:
        """The images, and with `skip_bad` the sources that hold none."""
        images: list[Path] = []
        skipped = []
        for source in self.sources:
            try:
                images += find_images(source)
            except ImageError:
                if not self.skip_bad:
                    raise
                skipped.append(source)
        if not images:
            raise ConfigError(f"no image in {name_first(self.sources)}; name others")
        return images, skipped

    def _write_each(
        self,
        model: "TaskModel[Any]",
        images: list[Path],
        names: Mapping[str, str],
        options: Any,
        format_: ResultFormat[Any],
        writer: ResultWriter,
    ) -> list[str]:
        """Predict and write; the images that were left out."""
        task, pictures = get_task(model.task), PictureNames()
        masks: Path | None = getattr(options, "masks", None)
        paths = map(str, images)
        skipped: list[str] = []
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
                # Results come in the order of the images.
                skipped += takewhile(lambda path: path != result.source, paths)  # noqa: B023
                writer.add(result)
                name = pictures.of(names[result.source])
                if self.plot is not None:
                    format_.plot(result, self.plot / name)
                if masks is not None:
                    format_.write_mask(result, masks / name)
                bar.images(number, len(images))
        return [*skipped, *paths]


Predict = with_task_options(
    PredictCommand,
    _options,
    "Classify images, detect objects in them, or segment them: the weights decide.",
)
