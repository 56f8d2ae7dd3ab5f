"""Which task a run is, by its settings, its model's name or the look of its data."""

from typing import Any

from swinkit.training.config import TrainConfig
from swinkit.training.tasks.classification import ClassificationTask
from swinkit.training.tasks.task import Task


def make_task(config: TrainConfig) -> Task[Any]:
    """The task of a run, its data read.

    Raises:
        SwinkitError: data that cannot be used.
    """
    return ClassificationTask(config)
