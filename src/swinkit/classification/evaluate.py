"""Measure a classifier on labelled images. B batch, C channels, H W map, K classes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
)

from swinkit.classification import pictures
from swinkit.classification.data.dataset import ClassificationDataset, EvalTransform
from swinkit.classification.data.splits import (
    ClassificationSample,
    ClassificationSplits,
    load_classification,
    load_classification_samples,
)
from swinkit.classification.model import SwinClassifier
from swinkit.classification.report import ClassificationReport, Mistake
from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.errors import DataError
from swinkit.pictures import figures
from swinkit.pictures.drawing import save_figure
from swinkit.task.base import Progress
from swinkit.task.mean_loss import MeanLoss

Split = Literal["train", "val", "test"]
Data = str | Path | DataConfig | ClassificationSplits | Sequence[ClassificationSample]


def evaluate(
    model: SwinClassifier,
    data: Data,
    *,
    split: Split | None = None,
    batch_size: int = 32,
    device: str | torch.device | None = None,
    workers: int = 0,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    worst: int = 16,
    progress: Progress | None = None,
) -> ClassificationReport:
    """Accuracy, loss, confusion, calibration and the worst mistakes on labelled images.

    Args:
        model: its `info` names the classes and the preprocessing.
        data: a path that `load_classification` reads, or what it gave, or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        batch_size: images in one forward pass.
        device: moves the model there; None leaves it where it is.
        workers: reading processes.
        out: folder for report.json, per_class.csv, confusion_matrix.png and worst_mistakes.png.
        on_bad_image: "skip" leaves unreadable images out.
        worst: mistakes to keep.
        progress: called with (images done, all).

    Raises:
        DataError: no such data or split, or classes that the model does not know.
        ImageError: an unreadable image with on_bad_image="refuse".
    """
    samples = _samples(model, data, split)
    if device is not None:
        model.to(device)
    dataset = ClassificationDataset(
        samples,
        EvalTransform(model.preprocessing.for_channels(model.config.in_channels)),
        channels=model.config.in_channels,
        on_bad_image=on_bad_image,
    )
    loader = build_loader(dataset, batch_size=batch_size, shuffle=False, workers=workers)
    report = _measure(model, loader, samples, worst, progress)
    if out is not None:
        write_report(report, Path(out), channels=model.config.in_channels)
    return report


def write_report(report: ClassificationReport, folder: Path, *, channels: int = 3) -> None:
    """The report's files and pictures. Raises SwinkitError where the system refuses."""
    report.write(folder)
    names = report.class_names
    save_figure(figures.confusion_matrix(report.confusion, names), folder / "confusion_matrix.png")
    save_figure(pictures.worst_mistakes(report.mistakes, channels), folder / "worst_mistakes.png")


def _samples(model: SwinClassifier, data: Data, split: Split | None) -> list[ClassificationSample]:
    names = model.class_names
    if isinstance(data, (str, Path)):
        return load_classification_samples(data, names, split=split)
    if isinstance(data, DataConfig):
        data = load_classification(data, names)
    if isinstance(data, ClassificationSplits):
        if data.class_names != names:
            raise DataError(
                f"the data has the classes {', '.join(data.class_names[:5])}, the model "
                f"{', '.join(names[:5])}; evaluate on data with the model's classes"
            )
        splits = data.by_name()
        chosen = split or ("test" if "test" in splits else "val")
        if chosen not in splits:
            raise DataError(f"the data has no {chosen} split, only {', '.join(splits)}")
        return splits[chosen]
    samples = list(data)
    if any(not 0 <= sample.label < len(names) for sample in samples):
        raise DataError(f"a sample's label is not among the model's {len(names)} classes")
    return samples


def _measure(
    model: SwinClassifier,
    loader: DataLoader,
    samples: list[ClassificationSample],
    worst: int,
    progress: Progress | None,
) -> ClassificationReport:
    device = next(model.parameters()).device
    metrics = _metrics(model.num_classes).to(device)
    loss = MeanLoss(sync_on_compute=False).to(device)
    mistakes: list[tuple[float, Mistake]] = []
    seen: set[int] = set()
    was_training = model.training
    model.eval()
    started = time.perf_counter()
    try:
        with torch.inference_mode():
            for images, labels, indices in loader:
                fresh = _first_times(indices, seen)
                labels = labels[fresh].to(device)
                logits = model(images[fresh].to(device)).float()
                if not len(labels):
                    continue
                metrics.update(logits.softmax(-1), labels)
                loss.update(functional.cross_entropy(logits, labels), images=len(labels))
                mistakes += _mistakes(logits, labels, indices[fresh], samples, model.class_names)
                mistakes = sorted(mistakes, key=lambda item: item[0])[:worst]
                if progress is not None:
                    progress(len(seen), len(samples))
    finally:
        model.train(was_training)
    values = metrics.compute()
    return ClassificationReport(
        top1=float(values["top1"]),
        top5=float(values["top5"]),
        loss=float(loss.compute()),
        calibration_error=float(values["calibration_error"]),
        images=int(values["confusion"].sum()),
        seconds=time.perf_counter() - started,
        class_names=model.class_names,
        confusion=values["confusion"].cpu().numpy(),
        mistakes=tuple(mistake for _, mistake in mistakes),
    )


def _metrics(classes: int) -> MetricCollection:
    """Of this process alone: after a distributed run only the first process evaluates."""
    top5 = min(5, classes)
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(classes, average="micro", sync_on_compute=False),
            "top5": MulticlassAccuracy(classes, average="micro", top_k=top5, sync_on_compute=False),
            "confusion": MulticlassConfusionMatrix(classes, sync_on_compute=False),
            "calibration_error": MulticlassCalibrationError(
                classes, n_bins=15, sync_on_compute=False
            ),
        },
        compute_groups=False,
    )


def _first_times(indices: Tensor, seen: set[int]) -> list[int]:
    """Places in the batch whose sample was not counted yet: an unreadable image is replaced by the
    next good one, which must not count twice."""
    places = []
    for place, index in enumerate(indices.tolist()):
        if index not in seen:
            seen.add(index)
            places.append(place)
    return places


def _mistakes(
    logits: Tensor,
    labels: Tensor,
    indices: Tensor,
    samples: list[ClassificationSample],
    names: tuple[str, ...],
) -> list[tuple[float, Mistake]]:
    probabilities = logits.softmax(-1).cpu()
    confidences, answers = probabilities.max(-1)
    found = []
    for row, (label, index) in enumerate(zip(labels.tolist(), indices.tolist(), strict=True)):
        answer = int(answers[row])
        if answer == label:
            continue
        right = float(probabilities[row, label])
        mistake = Mistake(
            path=str(samples[index].path),
            truth=names[label],
            predicted=names[answer],
            confidence=float(confidences[row]),
            truth_probability=right,
        )
        found.append((right, mistake))
    return found
