"""Which task a run is, by its settings, its model's name or the look of its data."""

from typing import Any

from swinkit.classification.train import ClassificationTask
from swinkit.detection.variants import DETECTORS
from swinkit.registry import TaskName, recognise
from swinkit.segmentation.variants import SEGMENTERS
from swinkit.task.train_config import TrainConfig
from swinkit.task.training import Task


def make_task(config: TrainConfig) -> Task[Any]:
    """The task of a run, its data read.

    Raises:
        SwinkitError: data that cannot be used.
    """
    task = config.task if config.task != "auto" else find_task(config)
    # Imported where needed: detection brings torchvision's operators, which take seconds.
    if task == "detection":
        from swinkit.detection.train import DetectionTask

        return DetectionTask(config)
    if task == "segmentation":
        from swinkit.segmentation.train import SegmentationTask

        return SegmentationTask(config)
    return ClassificationTask(config)


def find_task(config: TrainConfig) -> TaskName:
    """ "classification", "detection" or "segmentation": what the model's name says, else what the
    data looks like."""
    wanted = config.model
    if wanted.architecture is not None:
        return "classification"
    if wanted.detector is not None or wanted.name in DETECTORS:
        return "detection"
    if wanted.segmenter is not None or wanted.name in SEGMENTERS:
        return "segmentation"
    return recognise(config.data.path, config.data.kind).task
