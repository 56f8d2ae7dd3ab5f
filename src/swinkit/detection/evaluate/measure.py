"""Measure a detector on images with known objects. K classes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from swinkit.data.config import DataConfig
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import DetectionSplits, load_detection, load_detection_samples
from swinkit.detection.evaluate import pictures as detection_pictures
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.evaluate.report import DetectionReport, report_of
from swinkit.detection.model import SwinDetector
from swinkit.images.preprocessing import Normalization
from swinkit.pictures.drawing import save_figure
from swinkit.settings import Progress
from swinkit.task.base import Split
from swinkit.task.evaluating import choose_samples, with_samples
from swinkit.task.views import TestAugmentation

Data = str | Path | DataConfig | DetectionSplits | Sequence[DetectionSample]
USUAL_LIMIT = 100  # detections per class and image in COCO's own tables


def evaluate_detector(
    model: SwinDetector,
    data: Data,
    *,
    split: Split | None = None,
    batch_size: int = 1,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    max_detections: int | None = None,
    score: float | None = None,
    views: TestAugmentation | None = None,
    tile: tuple[int, int] | int | None = None,
    overlap: float = 0.2,
    worst: int = 16,
    progress: Progress | None = None,
) -> DetectionReport:
    """COCO's average precision of boxes and masks, the kinds of errors, and the worst of them.

    Args:
        model: its `info` names the classes and how images are prepared.
        data: a path that `load_detection` reads, or what it gave, or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        batch_size: images in one forward pass.
        out: folder for report.json, per_class.csv, pr_curves.png, predictions.png, and
            worst_misses.png.
        on_bad_image: "skip" leaves unreadable images out.
        max_detections: per image in prediction, per class and image in the numbers; None takes
            the model's, and at least COCO's 100 in the numbers.
        score: from which on detections count in the errors and pictures (AP counts all); None
            takes the score of the best F1.
        views: merge several scales and mirrored views.
        tile, overlap: take the images tile by tile.
        worst: wrong detections, and missed objects, to keep.
        progress: called with (images done, all).

    Raises:
        DataError: no such data or split, no image in it, or classes that the model does not know.
        ImageError: an unreadable image with on_bad_image="refuse".
        ConfigError: settings out of range.
    """
    samples: list[DetectionSample] = choose_samples(
        model, data, split, load=load_detection, load_samples=load_detection_samples
    )
    limit = max(USUAL_LIMIT, model.config.output.max_per_image)
    evaluator = CocoEvaluator(
        samples,
        model.class_names,
        max_detections=limit if max_detections is None else max_detections,
    )
    started = time.perf_counter()
    results = model.predict_iter(
        [sample.path for sample in samples],
        batch_size=batch_size,
        tile=tile,
        overlap=overlap,
        views=views,
        max_per_image=max_detections,
        on_error="skip" if on_bad_image == "skip" else "raise",
        keep_images=False,
    )
    for sample, found in with_samples(results, samples, progress):
        evaluator.update([(sample.image_id, found)])
    seconds = time.perf_counter() - started
    report = report_of(evaluator, seconds=seconds, score=score, worst=worst)
    if out is not None:
        write_report(report, Path(out), model.preprocessing)
    return report


def write_report(report: DetectionReport, folder: Path, shown: Normalization | None = None) -> None:
    """The report's files and pictures, as the model's preprocessing shows images.

    Raises:
        SwinkitError: the system refuses.
    """
    report.write(folder)
    save_figure(detection_pictures.precision_recall(report), folder / "pr_curves.png")
    save_figure(detection_pictures.predictions(report, shown), folder / "predictions.png")
    save_figure(detection_pictures.worst_misses(report, shown), folder / "worst_misses.png")
