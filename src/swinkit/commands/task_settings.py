"""Settings of the commands that only some tasks have, and what they mean to a model."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from swinkit.errors import ConfigError

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector
    from swinkit.task.views import TestAugmentation


class Settings(Protocol):
    """A command's dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def weights(self) -> str: ...


def refuse_settings_of_others(
    settings: Settings, owners: Mapping[str, tuple[str, ...]], task: str
) -> None:
    """Refuse a setting that was given and means nothing to the model.

    Args:
        settings: the command.
        owners: the tasks that have a setting; a setting without an entry belongs to all.
        task: "classifier", "detector" or "segmenter".

    Raises:
        ConfigError: names the setting, its owners and the task.
    """
    for setting in fields(settings):
        allowed = owners.get(setting.name, (task,))
        if task not in allowed and getattr(settings, setting.name) != setting.default:
            raise ConfigError(
                f"--{setting.name.replace('_', '-')} is a setting of a {' or '.join(allowed)}, "
                f"but {settings.weights} holds a {task}; leave it out"
            )


def views_of(model: "SwinDetector", scales: tuple[float, ...]) -> "TestAugmentation":
    """A detector's views: mirrored, and in several sizes as factors of its own."""
    from swinkit.task.views import TestAugmentation

    short_side = model.info.any_size.short_side
    sides = [round(short_side * scale) for scale in scales] if short_side else []
    return TestAugmentation(short_sides=tuple(sides), flip=True)
