"""`swinkit evaluate`: how good a trained model is on labelled images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swinkit.commands.loading import Device, load_classifier
from swinkit.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained model on labelled images."""

    weights: str
    """A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."""
    data: Path
    """Labelled images, laid out as for `swinkit train`."""
    split: Literal["train", "val", "test"] | None = None
    """Which part; None takes test, else val, else every image."""
    out: Path | None = None
    """Folder for report.json, per_class.csv and pictures of confusion and worst mistakes."""
    skip_bad: bool = False
    """Leave unreadable images out; without this the first one stops the command."""
    batch_size: int = 32
    """Images per forward pass."""
    workers: int = 0
    """Processes that read images, beside the main one."""
    image_size: int | None = None
    """Side of the input in pixels; None takes the model's own."""
    device: Device = "auto"
    """auto takes the GPU where there is one."""

    def run(self) -> None:
        """Evaluate, print, write.

        Raises:
            SwinkitError: no such data, classes that the model does not know, unusable weights.
        """
        if self.batch_size < 1 or self.workers < 0:
            raise ConfigError(
                f"batch-size is {self.batch_size} and workers {self.workers}; "
                "batch-size must be >= 1 and workers >= 0"
            )
        if not self.data.exists():
            raise DataError(f"{self.data}: no such file or folder; check the path")
        model = load_classifier(self.weights, self.image_size, self.device)
        from swinkit.evaluation.classification import evaluate

        report = evaluate(
            model,
            self.data,
            split=self.split,
            batch_size=self.batch_size,
            workers=self.workers,
            out=self.out,
            on_bad_image="skip" if self.skip_bad else "refuse",
        )
        print(report.table())
        if self.out is not None:
            print(f"report in {self.out}")
