"""What the models of all tasks have in common: classes with names, and facts about the weights."""

from torch import nn

from swinkit.errors import ConfigError
from swinkit.task.info import ModelInfo


class TaskModel(nn.Module):
    """A network for `num_classes` classes, whose names and preprocessing `info` holds.

    Attributes:
        num_classes: K; set by the network.
    """

    num_classes: int

    @property
    def info(self) -> ModelInfo:
        """Class names, preprocessing, metrics and provenance.

        Raises, where it is set:
            ConfigError: another number of names than of classes, or the preprocessing of another
                task.
        """
        return self._info

    @info.setter
    def info(self, info: ModelInfo) -> None:
        if info.class_names is not None and len(info.class_names) != self.num_classes:
            raise ConfigError(
                f"{len(info.class_names)} class names for a model of {self.num_classes} classes"
            )
        self.check_preprocessing(info)
        self._info = info

    def check_preprocessing(self, info: ModelInfo) -> None:
        """Refuse another task's; detectors and segmenters take images of any size.

        Raises:
            ConfigError: it is not theirs.
        """
        _ = info.any_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class; "class 0", "class 1", ... where they are unknown."""
        if self.info.class_names is not None:
            return self.info.class_names
        return tuple(f"class {number}" for number in range(self.num_classes))
