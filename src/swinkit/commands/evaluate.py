"""`swinkit evaluate`: how good a trained model of any task is on labeled images."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from swinkit.commands.loading import (
    EngineOptions,
    task_options,
    with_task_options,
)
from swinkit.console import ImagesBar
from swinkit.errors import ConfigError, DataError
from swinkit.files import check_place
from swinkit.task.base import Task


def _options(task: Task[Any, Any]) -> type[Any]:
    return task.evaluate_options


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(EngineOptions):
    """The options of `swinkit evaluate` that all tasks have."""

    data: Path
    """Labeled images, laid out as for `swinkit train`."""
    split: Literal["train", "val", "test"] | None = None
    """Which part; None takes test, else val, else every image."""
    probe: Literal["knn", "linear"] | None = None
    """Measure the backbone's features alone, on images with a class each: by the nearest training
    images, or by a linear classifier that learns from them."""
    class_names: str | None = None
    """What the weights' classes are called in the data, where they do not tell: a file with a name
    a line, imagenet (its WordNet ids), or the data's own names, sorted by the alphabet or numeric
    by the numbers in them."""
    out: Path | None = None
    """Folder for report.json, per_class.csv and pictures of what is right and what is wrong."""
    skip_bad: bool = False
    """Leave unreadable images out; without this the first one stops the command."""

    def run(self) -> None:
        """Evaluate, print, write.

        Raises:
            SwinkitError: no such data, classes that the model does not know, unusable weights.
        """
        self.check()
        if not os.path.exists(self.data):
            raise DataError(f"{self.data}: no such file or folder; check the path")
        if self.probe is not None:
            self._probe()
            return
        from swinkit.inference import measure

        check_place(self.out, folder=True)
        with ImagesBar() as bar:
            model = self.load(self.engine, self.precision)
            report, problems = measure(
                model,
                self.data,
                split=self.split,
                class_names=self.class_names,
                options=task_options(self, model, _options, self.weights),
                batch_size=self.batch_size,
                out=self.out,
                on_bad_image="skip" if self.skip_bad else "refuse",
                progress=bar.images,
            )
        for line in problems:
            print(f"swinkit: {line}", file=sys.stderr)
        print(report.table())
        if self.out is not None:
            print(f"report in {self.out}")

    def _probe(self) -> None:
        from swinkit.probing import probe

        if self.out is not None or self.class_names is not None:
            raise ConfigError("--out and --class-names do not go with --probe; leave them out")
        with ImagesBar() as bar:
            report = probe(
                self.weights,
                self.data,
                self.probe or "knn",
                split=self.split,
                image_size=self.image_size,
                device=self.device,
                batch_size=self.batch_size or 32,
                on_error="skip" if self.skip_bad else "raise",
                progress=bar.images,
            )
        print(report.table())


Evaluate = with_task_options(
    EvaluateCommand,
    _options,
    "Measure a trained model on labeled images: classes, objects or masks, as the weights decide.",
)
