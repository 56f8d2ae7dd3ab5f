"""Measure a segmenter on images with known labels. H W map, K classes."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from swinkit.data.config import DataConfig
from swinkit.errors import ImageError, LoggedErrors
from swinkit.segmentation.data.masks import IGNORE
from swinkit.segmentation.data.splits import (
    SegmentationSample,
    SegmentationSplits,
    load_segmentation,
    load_segmentation_samples,
)
from swinkit.segmentation.evaluate.report import MeasuredImage, SegmentationReport
from swinkit.segmentation.evaluate.scores import (
    TOLERANCE,
    SegmentationEvaluator,
    SegmentationScores,
)
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.result import SemanticMap
from swinkit.settings import Progress
from swinkit.task.base import Split
from swinkit.task.evaluating import choose_samples, with_samples
from swinkit.task.views import TestAugmentation

Data = str | Path | DataConfig | SegmentationSplits | Sequence[SegmentationSample]
KEPT_SIDE = 640  # longest side of label maps that are kept for the pictures
EXAMPLES = 6


def evaluate_segmenter(
    model: SwinSegmenter,
    data: Data,
    *,
    split: Split | None = None,
    batch_size: int = 1,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    window: tuple[int, int] | int | None = None,
    stride: tuple[int, int] | int | None = None,
    views: TestAugmentation | None = None,
    boundary_tolerance: float | None = TOLERANCE,
    worst: int = 6,
    progress: Progress | None = None,
) -> SegmentationReport:
    """IoU, accuracies, boundary F1 and confusion, in the images' own pixels, and the worst images.

    One image after the other is read, labeled and counted: their sizes may differ, and only a
    batch is in memory.

    Args:
        model: its `info` names the classes and how images are prepared.
        data: a path that `load_segmentation` reads, or what it gave, or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        batch_size: images of one size, or windows, in one forward pass.
        out: folder for report.json, per_class.csv, confusion_matrix.png, predictions.png and
            worst_images.png.
        on_bad_image: "skip" leaves unreadable images and masks out.
        window, stride: slide a window over each image.
        views: average over several sizes, and over the mirrored image.
        boundary_tolerance: see `boundary_f1`; None leaves the boundaries out.
        worst: images of the lowest mean IoU to keep.
        progress: called with (images done, all).

    Raises:
        DataError: no such data or split, no image in it, a mask of another size than its image,
            or classes that the model does not know.
        ImageError: an unreadable image or mask with on_bad_image="refuse".
        ConfigError: settings out of range.
    """
    samples: list[SegmentationSample] = choose_samples(
        model, data, split, load=load_segmentation, load_samples=load_segmentation_samples
    )
    started = time.perf_counter()
    counter = _Counter(model.class_names, boundary_tolerance, len(samples), worst)
    unreadable = LoggedErrors()
    results = model.predict_iter(
        [sample.path for sample in samples],
        batch_size=batch_size,
        window=window,
        stride=stride,
        views=views,
        on_error="raise" if on_bad_image == "refuse" else unreadable.add,
        keep_images=False,
    )
    for sample, found in with_samples(results, samples, progress):
        try:
            counter.add(sample, found)
        except ImageError as error:
            if on_bad_image == "refuse":
                raise
            unreadable.add(error)
    report = counter.report(time.perf_counter() - started)
    if out is not None:
        report.write(Path(out), model.preprocessing)
    return report


class _Counter:
    """Scores images one by one and keeps the worst, and some others, for the pictures."""

    def __init__(
        self, names: tuple[str, ...], tolerance: float | None, images: int, worst: int
    ) -> None:
        self.evaluator = SegmentationEvaluator(
            names, ignore_index=IGNORE, boundary_tolerance=tolerance
        )
        self.most = worst
        self.step = max(1, images // EXAMPLES)
        self.number = 0
        self.worst: list[tuple[float, int, MeasuredImage]] = []
        self.examples: list[MeasuredImage] = []

    def add(self, sample: SegmentationSample, found: SemanticMap) -> None:
        truth = sample.labels()
        own = self.evaluator.update(found.labels, truth, name=str(sample.path))
        image = _measured(sample, found, truth, own)
        if self.number % self.step == 0 and len(self.examples) < EXAMPLES:
            self.examples.append(image)
        if not math.isnan(own.miou):
            self.worst.append((own.miou, self.number, image))
            self.worst = sorted(self.worst, key=lambda item: item[:2])[: self.most]
        self.number += 1

    def report(self, seconds: float) -> SegmentationReport:
        return SegmentationReport(
            scores=self.evaluator.compute(),
            boundary_tolerance=self.evaluator.boundary_tolerance,
            ignore_index=self.evaluator.ignore_index,
            seconds=seconds,
            worst=tuple(image for _, _, image in self.worst),
            examples=tuple(self.examples),
        )


def _measured(
    sample: SegmentationSample, found: SemanticMap, truth: np.ndarray, own: SegmentationScores
) -> MeasuredImage:
    step = max(1, math.ceil(max(truth.shape) / KEPT_SIDE))
    return MeasuredImage(
        path=sample.path,
        miou=own.miou,
        pixel_accuracy=own.pixel_accuracy,
        predicted=found.labels[::step, ::step].copy(),
        truth=truth[::step, ::step].copy(),
    )
