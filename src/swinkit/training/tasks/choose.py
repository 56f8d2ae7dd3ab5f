"""Which task a run is, by its settings, its model's name or the look of its data."""

from typing import Any

from swinkit.data.recognise import TaskName, recognise
from swinkit.models.detector_variants import DETECTORS
from swinkit.models.segmenter_variants import SEGMENTERS
from swinkit.training.config import TrainConfig
from swinkit.training.tasks.classification import ClassificationTask
from swinkit.training.tasks.task import Task


def make_task(config: TrainConfig) -> Task[Any]:
    """The task of a run, its data read.

    Raises:
        SwinkitError: data that cannot be used.
    """
    task = config.task if config.task != "auto" else find_task(config)
    # Imported where needed: detection brings torchvision's operators, which take seconds.
    if task == "detection":
        from swinkit.training.tasks.detection import DetectionTask

        return DetectionTask(config)
    if task == "segmentation":
        from swinkit.training.tasks.segmentation import SegmentationTask

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
