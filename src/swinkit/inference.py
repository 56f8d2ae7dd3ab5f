"""Trained models of any task at work: loading them for use, predicting, measuring."""

from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch

from swinkit.checkpoints.load import Reporter, load
from swinkit.checkpoints.save import Model
from swinkit.data.config import DataConfig
from swinkit.engines import EngineName, RunPrecision
from swinkit.errors import CheckpointError, ConfigError
from swinkit.exporting.running import Say, run_through
from swinkit.registry import get_task
from swinkit.settings import Progress
from swinkit.task.base import OnError, Report, Split
from swinkit.task.class_names import ClassNames, named_classes
from swinkit.task.model import TaskModel
from swinkit.task.options import EvaluateOptions
from swinkit.task.predicting import Source

ImageSize = int | Literal["original"] | None
Weights = str | Path | TaskModel[Any]


def load_model(
    weights: Weights,
    *,
    image_size: ImageSize = None,
    device: str | None = None,
    engine: EngineName = "eager",
    precision: RunPrecision = "fp32",
    say: Say | None = None,
    report: Reporter | None = None,
) -> TaskModel[Any]:
    """A model of any task, ready to answer on its device.

    Args:
        weights: what `swinkit.load` takes, or a model.
        image_size: side of a classifier's images, short side of the others'; "original" leaves
            these in their own size; None takes the model's.
        device: "auto" takes the GPU where there is one; None does too, but leaves a model that is
            given where it is.
        engine, precision: what images go through; see `swinkit.engines`.
        say: called with a line on what the engine "auto" chose.
        report: what to do with the report of loading.

    Raises:
        CheckpointError: unreadable, or a backbone alone.
        ConfigError: no GPU where one is asked for, or a classifier for images as they are.
    """
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device is {device}, but PyTorch finds no GPU here; use cpu")
    side = None if image_size == "original" else image_size
    if isinstance(weights, TaskModel):
        model: Model = weights
    else:
        model = load(weights, image_size=side, report=report)
        device = device or "auto"
    if not isinstance(model, TaskModel):
        raise CheckpointError(
            f"{weights} holds a backbone without a classifier or other head; name weights of a "
            "whole model"
        )
    if image_size is not None and image_size != getattr(model.preprocessing, "size_hw", None):
        try:
            model.set_image_size(image_size)
        except ConfigError as error:
            kind = get_task(model.task).model_kind
            raise ConfigError(f"{_name(weights)} holds a {kind}: {error}") from error
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device is not None and model.runner is None:
        model.to(device)
    if (engine, precision) != ("eager", "fp32"):
        run_through(model, engine, say, precision=precision)
    return model


def _name(weights: Weights) -> str:
    return "the model" if isinstance(weights, TaskModel) else str(weights)


def predict(
    source: Source,
    weights: Weights,
    *,
    image_size: ImageSize = None,
    device: str | None = None,
    batch_size: int | None = None,
    on_error: OnError = "raise",
    **options: Any,
) -> list[Any]:
    """What is on images, by a trained model of any task.

    Args:
        source: a path, a folder, a pattern, an array, a Pillow image, or a list of them.
        weights: what `swinkit.load` takes, or a model.
        image_size: side of the input in pixels; "original" leaves images of detectors and
            segmenters as they are, for tiles and windows; None takes the model's own.
        device: "auto" takes the GPU where there is one; None does too, but leaves a model that is
            given where it is.
        batch_size: images (tiles, windows) in one forward pass; None takes the task's.
        on_error: "skip" leaves out images that cannot be read.
        options: arguments of the model's own `predict`, such as `score_threshold` of a detector.

    Returns:
        A `Classification`, `Detections` or `SemanticMap` per image, in the order of the source.

    Raises:
        SwinkitError: nothing found, an unreadable image, unusable weights or options.

    Example:
        >>> import numpy
        >>> model = swinkit.create_model("swin_nano", class_names=["dark", "light"])
        >>> results = swinkit.predict(numpy.zeros((64, 48, 3), "uint8"), model)
        >>> results[0].label in ("dark", "light")
        True
    """
    before = weights.info if isinstance(weights, TaskModel) else None
    model = load_model(weights, image_size=image_size, device=device)
    task = get_task(model.task)
    answer = getattr(model, "predict")  # noqa: B009
    known = signature(answer).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ConfigError(
            f"predict of a {task.model_kind} has no {unknown[0]}; it takes {', '.join(known)}"
        )
    settings = {"batch_size": batch_size or task.predict_batch_size, "on_error": on_error}
    try:
        return list(answer(source, **settings, **options))
    finally:
        if before is not None:
            model.info = before


def evaluate(
    model: Weights,
    data: str | Path | DataConfig | Any,
    *,
    split: Split | None = None,
    class_names: ClassNames | None = None,
    options: EvaluateOptions | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    progress: Progress | None = None,
) -> Report:
    """Measure a trained model of any task on labeled images.

    Args:
        model: its `info` names the classes and the preprocessing; or what `swinkit.load` takes.
        data: a path, a `DataConfig`, or the task's splits or samples.
        split: which part; None takes the test split, else the validation split, else everything.
        class_names: of the model's classes, where the weights do not tell them as the data does:
            the names, a file with a name a line, "imagenet" for ImageNet's WordNet ids, or the
            data's own names, "sorted" by the alphabet or "numeric" by the numbers in them.
            WordNet ids are known to weights for ImageNet's 1,000 classes without this.
        options: of the model's task, such as tiles or a sliding window; None takes its defaults.
        batch_size: images in one forward pass; None takes the task's.
        device: where to compute; None leaves a model that is given where it is.
        out: folder for the report's files and pictures.
        on_bad_image: "skip" leaves unreadable images out.
        progress: called with (images done, all).

    Returns:
        The task's report: a `ClassificationReport`, `DetectionReport` or `SegmentationReport`.

    Raises:
        DataError: no such data or split, or classes that the model does not know.
        ImageError: an unreadable image with on_bad_image="refuse".
        ConfigError: options out of range.

    Example:
        >>> import numpy, pathlib, tempfile
        >>> from PIL import Image
        >>> model = swinkit.create_model("swin_nano", class_names=["dark", "light"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, value in (("dark", 0), ("light", 255)):
        ...         image = pathlib.Path(folder) / name / "a.png"
        ...         image.parent.mkdir()
        ...         Image.fromarray(numpy.full((64, 64, 3), value, "uint8")).save(image)
        ...     report = swinkit.evaluate(model, folder)
        >>> report.top1 in (0.0, 0.5, 1.0)
        True
    """
    report, _ = measure(
        load_model(model, device=device),
        data,
        split=split,
        class_names=class_names,
        options=options,
        batch_size=batch_size,
        out=out,
        on_bad_image=on_bad_image,
        progress=progress,
    )
    return report


def measure(
    model: TaskModel[Any],
    data: Any,
    *,
    split: Split | None = None,
    class_names: ClassNames | None = None,
    options: EvaluateOptions | None = None,
    batch_size: int | None = None,
    out: str | Path | None = None,
    on_bad_image: Literal["skip", "refuse"] = "refuse",
    progress: Progress | None = None,
) -> tuple[Report, list[str]]:
    """As `evaluate`, and what of the data was left out, one line each."""
    task = get_task(model.task)
    with named_classes(task, model, data, class_names):
        return task.evaluate(
            model,
            data,
            options or task.evaluate_options(),
            split=split,
            batch_size=batch_size or task.evaluate_batch_size,
            out=None if out is None else Path(out),
            on_bad_image=on_bad_image,
            progress=progress,
        )
