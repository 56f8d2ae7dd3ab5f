"""`swinkit evaluate`: how good a trained model of any task is on labelled images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from swinkit.commands.loading import Device, ImageSize, load_model
from swinkit.commands.task_settings import refuse_settings_of_others, views_of
from swinkit.console import ImagesBar
from swinkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from swinkit.classification.model import SwinClassifier
    from swinkit.data.problems import Problem
    from swinkit.detection.model import SwinDetector
    from swinkit.segmentation.model import SwinSegmenter

BATCH_SIZE = {"classifier": 32, "detector": 1, "segmenter": 1}
# Settings that only some tasks have, and those tasks.
OWNERS = {
    "workers": ("classifier",),
    "max_detections": ("detector",),
    "score": ("detector",),
    "tile": ("detector",),
    "overlap": ("detector",),
    "window": ("segmenter",),
    "stride": ("segmenter",),
    "augment": ("detector", "segmenter"),
    "scales": ("detector", "segmenter"),
}


class Report(Protocol):
    """What every task's report has in common."""

    def table(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained model on labelled images: classes, objects or scenes, as the weights
    decide."""

    weights: str
    """A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."""
    data: Path
    """Labelled images, laid out as for `swinkit train`."""
    split: Literal["train", "val", "test"] | None = None
    """Which part; None takes test, else val, else every image."""
    out: Path | None = None
    """Folder for report.json, per_class.csv and pictures of what is right and what is wrong."""
    max_detections: int | None = None
    """Detector: objects per image; None takes the model's, usually COCO's 100."""
    score: float | None = None
    """Detector: count errors among objects of this score and more; None takes the score of the
    best F1. Average precision always counts all."""
    tile: int | None = None
    """Detector: look tile by tile, this many pixels a side."""
    overlap: float = 0.2
    """Detector: share of a tile's side that neighbours have in common."""
    window: int | None = None
    """Segmenter: slide a window of this side over the image."""
    stride: int | None = None
    """Segmenter: steps of the window; None takes two thirds of it."""
    augment: bool = False
    """Detector, segmenter: look at each image mirrored too, and in the sizes of --scales."""
    scales: tuple[float, ...] = (0.75, 1.0, 1.25)
    """Sizes of --augment, as factors of the usual one."""
    skip_bad: bool = False
    """Leave unreadable images out; without this the first one stops the command."""
    batch_size: int | None = None
    """Images (tiles, windows) per forward pass; None: 32 of a classifier, 1 of the others."""
    workers: int = 0
    """Classifier: processes that read images, beside the main one."""
    image_size: ImageSize = None
    """Side of the input in pixels, of detectors and segmenters the short one; None takes the
    model's own. "original" leaves their images as they are, for tiles and windows."""
    device: Device = "auto"
    """auto takes the GPU where there is one."""

    def run(self) -> None:
        """Evaluate, print, write.

        Raises:
            SwinkitError: no such data, classes that the model does not know, unusable weights.
        """
        if (self.batch_size is not None and self.batch_size < 1) or self.workers < 0:
            raise ConfigError(
                f"batch-size is {self.batch_size} and workers {self.workers}; "
                "batch-size must be >= 1 and workers >= 0"
            )
        if self.score is not None and not 0 <= self.score <= 1:
            raise ConfigError(f"score is {self.score}; it must lie in 0..1")
        if not self.data.exists():
            raise DataError(f"{self.data}: no such file or folder; check the path")
        with ImagesBar() as bar:
            report = self._report(bar)
        print(report.table())
        if self.out is not None:
            print(f"report in {self.out}")

    def _report(self, bar: ImagesBar) -> Report:
        from swinkit.classification.model import SwinClassifier

        model = load_model(self.weights, self.image_size, self.device)
        if isinstance(model, SwinClassifier):
            return self._classes(model, bar)
        # Only now: it brings torchvision's operators, which take two seconds to import.
        from swinkit.detection.model import SwinDetector

        if isinstance(model, SwinDetector):
            return self._objects(model, bar)
        return self._scenes(model, bar)

    def _classes(self, model: "SwinClassifier", bar: ImagesBar) -> Report:
        from swinkit.classification.evaluate import evaluate

        refuse_settings_of_others(self, OWNERS, "classifier")
        return evaluate(
            model,
            self.data,
            split=self.split,
            batch_size=self.batch_size or BATCH_SIZE["classifier"],
            workers=self.workers,
            out=self.out,
            on_bad_image="skip" if self.skip_bad else "refuse",
            progress=bar.images,
        )

    def _objects(self, model: "SwinDetector", bar: ImagesBar) -> Report:
        from swinkit.detection.data.splits import load_detection_samples
        from swinkit.detection.evaluate.measure import evaluate_detector

        refuse_settings_of_others(self, OWNERS, "detector")
        names = model.info.class_names
        samples, loaded = load_detection_samples(self.data, names, split=self.split)
        _tell(loaded.problems)
        return evaluate_detector(
            model,
            samples,
            batch_size=self.batch_size or BATCH_SIZE["detector"],
            out=self.out,
            on_bad_image="skip" if self.skip_bad else "refuse",
            max_detections=self.max_detections,
            score=self.score,
            augment=views_of(model, self.scales) if self.augment else None,
            tile=self.tile,
            overlap=self.overlap,
            progress=bar.images,
        )

    def _scenes(self, model: "SwinSegmenter", bar: ImagesBar) -> Report:
        from swinkit.segmentation.data.splits import load_segmentation_samples
        from swinkit.segmentation.evaluate.measure import evaluate_segmenter

        refuse_settings_of_others(self, OWNERS, "segmenter")
        names = model.info.class_names
        samples, loaded = load_segmentation_samples(self.data, names, split=self.split)
        _tell(loaded.problems)
        return evaluate_segmenter(
            model,
            samples,
            batch_size=self.batch_size or BATCH_SIZE["segmenter"],
            out=self.out,
            on_bad_image="skip" if self.skip_bad else "refuse",
            window=self.window,
            stride=self.stride,
            scales=self.scales if self.augment else (1.0,),
            flip=self.augment,
            progress=bar.images,
        )


def _tell(problems: Sequence["Problem"]) -> None:
    """What of the data was not sound and is left out."""
    from swinkit.data.problems import describe_problems

    for line in describe_problems(problems):
        print(f"swinkit: {line}", file=sys.stderr)
