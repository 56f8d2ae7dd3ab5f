"""What a loaded model knows about itself: class names, preprocessing, metrics, where it is from."""

from importlib.resources import files
from typing import Any

from swinkit.checkpoints.reading import Reading
from swinkit.checkpoints.sidecar import class_names_of, preprocessing_of, statistics
from swinkit.checkpoints.transfer import Weights
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.info import ModelInfo

# Labels that a number of classes stands for in the published files of a task.
_LABELS = {("detection", 80): "coco_80.txt", ("segmentation", 150): "ade20k_150.txt"}


def classifier_info(reading: Reading, weights: Weights) -> ModelInfo:
    """For a classifier: from swinkit's header, else from what stands beside the weights."""
    opened, channels = reading.opened, weights.config.in_channels
    header = reading.header.info if reading.header else None
    if header is not None and isinstance(header.preprocessing, Preprocessing):
        names = header.class_names
        preprocessing = header.preprocessing
        if (preprocessing.size_hw, preprocessing.channels) != (weights.image_hw, channels):
            preprocessing = preprocessing_of(opened, weights.image_hw, channels)
        metrics = dict(header.metrics)
    else:
        names = class_names_of(opened, weights.num_classes or 0)
        preprocessing = preprocessing_of(opened, weights.image_hw, channels)
        metrics = opened.published.metrics if opened.published else {}
    return ModelInfo(
        class_names=names if names and len(names) == weights.num_classes else None,
        preprocessing=preprocessing,
        metrics=metrics,
        provenance=_provenance(reading),
    )


def dense_info(
    reading: Reading, task: str, held_classes: int, num_classes: int, fit: Fit
) -> ModelInfo:
    """For a detector or segmenter.

    Args:
        held_classes: of the file; names are dropped where the model has another number.
        fit: how images are prepared where no header tells.
    """
    header = reading.header.info if reading.header else None
    if header is not None:
        names, metrics = header.class_names, dict(header.metrics)
        if isinstance(header.preprocessing, Fit):
            fit = header.preprocessing.for_channels(fit.channels)
    else:
        names = _dense_names(reading, task, held_classes)
        metrics = reading.opened.published.metrics if reading.opened.published else {}
        processor = reading.opened.processor
        if processor:
            reading.account.notes.append(
                "transformers' image processor squashes to a square; swinkit keeps the aspect"
            )
        measured = statistics(processor.get("image_mean"), processor.get("image_std"), fit.channels)
        fit = Fit.from_dict({**fit.to_dict(), **measured})
    return ModelInfo(
        class_names=names if names and len(names) == num_classes else None,
        preprocessing=fit,
        metrics=metrics if num_classes == held_classes else {},
        provenance=_provenance(reading),
    )


def label_list(name: str) -> tuple[str, ...]:
    """Class names of a text file beside this one: one a line."""
    text = files("swinkit.checkpoints").joinpath(name).read_text("utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))


def _dense_names(reading: Reading, task: str, classes: int) -> tuple[str, ...] | None:
    """From the training script's own record, config.json, or the published data set's list."""
    meta = reading.opened.meta
    data = meta.get("dataset_meta")
    recorded: Any = data if isinstance(data, dict) else meta
    names = recorded.get("classes", recorded.get("CLASSES"))
    if isinstance(names, (list, tuple)) and len(names) == classes:
        return tuple(str(name).strip() for name in names)
    named = class_names_of(reading.opened, classes)
    if named is None and (task, classes) in _LABELS:
        named = label_list(_LABELS[task, classes])
        reading.account.notes.append(
            f"class names by their number: {'COCO' if task == 'detection' else 'ADE20K'}'s "
            f"{classes}; the file names none"
        )
    return named


def _provenance(reading: Reading) -> dict[str, str]:
    opened = reading.opened
    provenance = {"source": opened.origin, "layout": reading.family.name}
    if opened.sha256:
        provenance["sha256"] = opened.sha256
    if reading.header is not None and reading.header.info is not None:
        return {**reading.header.info.provenance, **provenance}
    if opened.published:
        provenance |= {"license": opened.published.license, "url": opened.published.url}
    return provenance
