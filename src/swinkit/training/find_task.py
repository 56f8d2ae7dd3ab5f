"""Which task a run is, by its settings, its model's name or the look of its data."""

from typing import Any

from swinkit.registry import get_task, recognize, task_of_network
from swinkit.task.train_config import TrainConfig
from swinkit.task.training import TrainingTask


def make_task(config: TrainConfig) -> TrainingTask[Any]:
    """The task of a run, its data read.

    Raises:
        SwinkitError: data that cannot be used.
    """
    name = config.task if config.task != "auto" else find_task(config)
    return get_task(name).training(config)


def find_task(config: TrainConfig) -> str:
    """What the model's name says, else what the data looks like."""
    wanted = config.model
    if wanted.architecture is not None:
        return "classification"
    if wanted.detector is not None:
        return "detection"
    if wanted.segmenter is not None:
        return "segmentation"
    # A classifier's name may stand for the backbone of another task's model: the data decides.
    task = task_of_network(wanted.name)
    if task is not None and task.name != "classification":
        return task.name
    return recognize(config.data.path, config.data.kind).task
