"""`swinkit predict`: what is on images, by a trained model of any task."""

import contextlib
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.commands.loading import (
    EngineOptions,
    Sources,
    check_sources,
    task_options,
    with_task_options,
)
from swinkit.commands.outputs import PictureNames, ResultWriter, is_standard_output, open_output
from swinkit.commands.streams import DrawnVideos, ImageNames, as_stream, count_images, split_frame
from swinkit.console import ImagesBar
from swinkit.data.splits import name_some
from swinkit.errors import ConfigError, ImageError, require
from swinkit.files import check_place
from swinkit.images.sources import Stream, find_images
from swinkit.registry import get_task
from swinkit.task.base import OnError, Task
from swinkit.task.format import ResultFormat
from swinkit.task.options import check_range

if TYPE_CHECKING:
    from swinkit.task.model import TaskModel

MOST_NAMED = 20  # images that were left out; then they are only counted


def _options(task: Task[Any, Any]) -> type[Any]:
    return task.predict_options


@dataclass(frozen=True, kw_only=True)
class PredictCommand(EngineOptions):
    """The options of `swinkit predict` that all tasks have."""

    sources: Sources
    """Images, folders of images or video frames, quoted patterns such as 'photos/**/*.jpg', videos,
    https addresses of pictures, or the number of a camera."""
    json: Path | None = None
    """Write the results to this file as JSON; - prints them instead of the table. A detector's is
    a COCO results file."""
    csv: Path | None = None
    """Write the results to this file: a line per class, object, or class present."""
    plot: Path | None = None
    """Draw each image with its result into this folder; of a video a video."""
    frames: int | None = None
    """Stop after this many images and frames in all; a camera needs it."""
    skip_bad: bool = False
    """Leave unreadable images out and name them; without this the first one stops the command."""

    def run(self) -> None:
        """Predict, print and write.

        Raises:
            SwinkitError: no image, an unreadable one, unusable weights, or a refused write.
        """
        self.check()
        check_sources(self.sources, "predict")
        if is_standard_output(self.json) and is_standard_output(self.csv):
            raise ConfigError("--json and --csv cannot both be printed; name a file for one")
        check_place(self.plot, folder=True)
        if self.plot is not None:
            require("matplotlib")  # said before the weights are loaded
        check_place(getattr(self, "masks", None), folder=True)
        images, unreadable = self._find()
        names = ImageNames(self.sources, images)
        with contextlib.ExitStack() as files:
            # Opened before the weights, so that a refusal comes at once.
            json_file = files.enter_context(open_output(self.json))
            csv_file = files.enter_context(open_output(self.csv))
            model = self.load(self.engine, self.precision)
            options = task_options(self, model, _options, self.weights)
            format_ = get_task(model.task).result_format(model, options, names)
            writer = ResultWriter(format_, json_file, csv_file)
            on_error: OnError = unreadable.append if self.skip_bad else "raise"
            self._write_each(model, images, names, options, format_, writer, on_error)
            if not writer.images:
                raise ConfigError(
                    f"none of the {len(images)} images is readable; the first: {unreadable[0]}"
                )
            writer.finish()
        _report_skipped(unreadable)
        if not any(is_standard_output(path) for path in (self.json, self.csv)):
            writer.print_table()

    def _find(self) -> tuple[list[Stream], list[ImageError]]:
        """The images, and with `skip_bad` the errors of sources that hold none."""
        images: list[Stream] = []
        unreadable = []
        for source in self.sources:
            try:
                stream = as_stream(source)
                images += find_images(source) if stream is None else [stream]
            except ImageError as error:
                if not self.skip_bad:
                    raise
                unreadable.append(error)
        if not images:
            raise ConfigError(f"no image in {name_some(self.sources)}; name others")
        check_range("frames", self.frames, 1)
        if self.frames is None and any(isinstance(image, int) for image in images):
            raise ConfigError("a camera has no end; say by --frames how many pictures to take")
        return images, unreadable

    def _write_each(
        self,
        model: "TaskModel[Any]",
        images: list[Stream],
        names: Mapping[str, str],
        options: Any,
        format_: ResultFormat[Any],
        writer: ResultWriter,
        on_error: OnError,
    ) -> None:
        task, pictures = get_task(model.task), PictureNames()
        masks: Path | None = getattr(options, "masks", None)
        drawn = nullcontext() if self.plot is None else DrawnVideos(self.plot, names)
        with ImagesBar() as bar, drawn as videos:
            results = task.predict(
                model,
                images,
                options,
                batch_size=self.batch_size or task.predict_batch_size,
                on_error=on_error,
                keep_images=self.plot is not None,
                progress=bar.piece,
            )
            total = min(count_images(images) or sys.maxsize, self.frames or sys.maxsize)
            bar.images(0, total)
            for number, result in enumerate(islice(results, self.frames), start=1):
                writer.add(result)
                stream, frame = split_frame(result.source)
                name = pictures.of(names[result.source])
                if videos is not None and frame is not None:
                    videos.add(stream, format_.draw(result))
                elif self.plot is not None:
                    format_.plot(result, self.plot / name)
                if masks is not None:
                    format_.write_mask(result, masks / name)
                bar.images(number, max(total, number))


def _report_skipped(unreadable: list[ImageError]) -> None:
    """Which images were left out, and why."""
    for error in unreadable[:MOST_NAMED]:
        print(f"swinkit: skipped {error}", file=sys.stderr)
    if len(unreadable) > MOST_NAMED:
        print(f"swinkit: skipped {len(unreadable)} unreadable images in all", file=sys.stderr)


Predict = with_task_options(
    PredictCommand,
    _options,
    "Classify images, detect objects in them, or segment them: the weights decide.",
)
