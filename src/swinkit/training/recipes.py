"""The settings of a run: from a recipe, or from the folder of an earlier run. No PyTorch."""

import os
from pathlib import Path
from typing import Any

from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError, DataError, TrainingError
from swinkit.parsing import mapping
from swinkit.registry import DEFAULT, get_task, recognize, task_of_network
from swinkit.settings import expand_user, read_settings, to_plain
from swinkit.task.train_config import TrainConfig

# The usual settings by their short names, as `swinkit train --help` lists them.
SHORT = {
    "epochs": "schedule.epochs",
    "steps": "schedule.steps",
    "minutes": "schedule.minutes",
    "batch_size": "runtime.batch_size",
    "lr": "optimizer.lr",
    "image_size": "model.image_size",
    "workers": "data.workers",
    "device": "runtime.device",
    "out": "runtime.out",
    "resume": "runtime.resume",
    "name": "model.name",
    "weights": "model.weights",
    "logger": "runtime.logger",
}
FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Recipes that come with swinkit."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def recipes_of(task: str) -> dict[str, str]:
    """The recipes for a task, and the first sentence of what each file says of itself."""
    found = {}
    for name in recipe_names():
        lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        if f"task: {task}" in lines:
            found[name] = lines[0].removeprefix("# ")
    return found


def load_recipe(
    recipe: str | Path | None, data: DataConfig | str | Path, *, task: str | None = None
) -> TrainConfig:
    """The settings of a recipe, for a data set.

    Args:
        recipe: a name of `recipe_names()`, or a YAML file with any part of the settings; None
            takes the task's recipe for fine-tuning.
        data: the images; a path keeps the recipe's data settings.
        task: what is learned; None takes what the recipe says, else what its model's name says,
            else what the data looks like.

    Returns:
        The task's kind of `TrainConfig`, for `swinkit.train`.

    Raises:
        ConfigError: no such recipe, one of another task, or settings in it that do not exist.

    >>> config = swinkit.load_recipe("small_data", "photos")
    >>> config.task, config.schedule.epochs
    ('classification', 60)
    """
    if recipe is None:
        task = task or find_task(None, data)
        recipe = get_task(task).recipe
    known = str(recipe) in recipe_names()
    file = FOLDER / f"{recipe}.yaml" if known else expand_user(Path(recipe))
    if not os.path.isfile(file):  # Path.is_file raises for a name that is too long
        raise ConfigError(
            f"no recipe {recipe}; choose {', '.join(recipe_names())} or name a YAML file"
        )
    values = read_settings(file)
    if isinstance(data, DataConfig):
        values["data"] = to_plain(data)
    else:
        own_data = values.get("data") or {}
        if not isinstance(own_data, dict):
            raise ConfigError(f"{file}: data: expected names with values, got {own_data!r}")
        values["data"] = {**own_data, "path": str(data)}
    network = mapping(values.get("model")).get("name")
    own = values.get("task") or task or find_task(network, data)
    if task not in (None, own):
        raise ConfigError(f"recipe {recipe} is for {own}, not {task}; choose another recipe")
    try:
        return _config_of({**values, "task": own})
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def read_config(path: str | Path) -> TrainConfig:
    """Read what `TrainConfig.save` wrote. Raises ConfigError where that fails."""
    try:
        return _config_of(read_settings(Path(path)))
    except ConfigError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        raise ConfigError(f"{where}{error}") from error


def recorded_config(folder: Path) -> TrainConfig:
    """The settings in a run's folder.

    Raises:
        TrainingError: no run there.
        ConfigError: settings that cannot be read.
    """
    file = folder / "config.yaml"
    if not os.path.isfile(file):
        raise TrainingError(
            f"cannot resume {folder}: it has no config.yaml; name the folder of a run"
        )
    return read_config(file)


def find_task(network: Any, data: DataConfig | str | Path) -> str:
    """The task of a network's name, else of the data; where there is none, the usual one."""
    named = task_of_network(network) if isinstance(network, str) else None
    # A classifier's name may stand for the backbone of another task's model: the data decides.
    if named is not None and named.name != DEFAULT:
        return named.name
    path, kind = (data.path, data.kind) if isinstance(data, DataConfig) else (data, "auto")
    try:
        return recognize(path, kind).task
    except DataError:  # training says what is wrong with the data, once it reads them
        return DEFAULT


def _config_of(values: dict[str, Any]) -> TrainConfig:
    if "task" not in values:
        raise ConfigError("task is missing; give it")
    config: TrainConfig = get_task(str(values["task"])).train_config.from_dict(values)
    return config
