"""Tasks whose data sets one reader gives whole: names, samples by split, notes and problems."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.task.base import Model, Result, Split, Task

if TYPE_CHECKING:
    from swinkit.data.config import DataConfig
    from swinkit.data.splits import HasPath


class LabeledTask(Task[Model, Result]):
    """What a task can tell of its data once that is read."""

    @abstractmethod
    def load_parts(self, config: "DataConfig", class_names: tuple[str, ...] | None = None) -> Any:
        """The data set without samples, and its samples by split, as it splits them.

        Raises:
            DataError: nothing there, nothing usable, or a class that `class_names` does not hold.
        """

    def names_in(self, path: Path) -> tuple[str, ...]:
        """Those of the annotations."""
        from swinkit.data.splits import load_samples

        return load_samples(self.load_parts, path)[1].class_names

    def samples_in(self, config: "DataConfig") -> Mapping[str, Sequence["HasPath"]]:
        """All that are sound."""
        parts: Mapping[str, Sequence[HasPath]] = self.load_parts(config)[1]
        return parts

    def labeled(self, model: Model, data: Any, split: Split | None) -> tuple[Any, list[str]]:
        """The samples of a path, labels as the model's classes, and remarks on them; what is no
        path stays as it is. Raises DataError."""
        from swinkit.data.problems import describe_all
        from swinkit.data.splits import load_samples

        if not isinstance(data, (str, Path)):
            return data, []
        samples, loaded = load_samples(self.load_parts, data, model.info.class_names, split=split)
        return samples, describe_all(loaded.notes, loaded.problems)
