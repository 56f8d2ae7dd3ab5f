"""Measure a classifier on labeled images. B batch, C channels, H W map, K classes."""

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
from swinkit.settings import Progress
from swinkit.task.base import Split
from swinkit.task.evaluating import MeanLoss, choose_samples

Data = str | Path | DataConfig | ClassificationSplits | Sequence[ClassificationSample]


def evaluate_classifier(
    model: SwinClassifier,
    data: Data,
    *,
    split: Split | None = None,
    batch_size: int = 32,
    workers: int = 0,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    worst: int = 16,
    progress: Progress | None = None,
) -> ClassificationReport:
    """Accuracy, loss, confusion, calibration and the worst mistakes on labeled images.

    Args:
        model: its `info` names the classes and the preprocessing.
        data: a path that `load_classification` reads, or what it gave, or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        batch_size: images in one forward pass.
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
    dataset = ClassificationDataset(
        samples,
        EvalTransform(model.preprocessing.for_channels(model.config.in_channels)),
        channels=model.config.in_channels,
        on_bad_image=on_bad_image,
    )
    loader = build_loader(dataset, batch_size=batch_size, shuffle=False, workers=workers)
    report = _measure(model, loader, samples, worst, progress)
    if out is not None:
        report.write(Path(out), model.preprocessing)
    return report


def _samples(model: SwinClassifier, data: Data, split: Split | None) -> list[ClassificationSample]:
    def load_samples(
        path: Path, _: object, *, split: Split | None
    ) -> tuple[list[ClassificationSample], SwinClassifier]:
        return load_classification_samples(path, model.class_names, split=split), model

    samples: list[ClassificationSample] = choose_samples(
        model, data, split, load=load_classification, load_samples=load_samples
    )
    if any(not 0 <= sample.label < model.num_classes for sample in samples):
        raise DataError(f"a sample's label is not among the model's {model.num_classes} classes")
    return samples


def _measure(
    model: SwinClassifier,
    loader: DataLoader,
    samples: list[ClassificationSample],
    worst: int,
    progress: Progress | None,
) -> ClassificationReport:
    device = model.device
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
                logits = model.run(images[fresh].to(device)).float()
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
    confidences, predictions = probabilities.max(-1)
    found = []
    for row, (label, index) in enumerate(zip(labels.tolist(), indices.tolist(), strict=True)):
        predicted = int(predictions[row])
        if predicted == label:
            continue
        right = float(probabilities[row, label])
        mistake = Mistake(
            path=str(samples[index].path),
            truth=names[label],
            predicted=names[predicted],
            confidence=float(confidences[row]),
            truth_probability=right,
        )
        found.append((right, mistake))
    return found
