"""`swinkit train`: a recipe, overridden setting by setting."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from swinkit.errors import ConfigError, DataError
from swinkit.files import check_place
from swinkit.registry import DEFAULT, get_task
from swinkit.settings import expand_user
from swinkit.task.train_config import TrainConfig
from swinkit.training.recipes import find_task, load_recipe, recorded_config

NO_DATA = Path("FOLDER")
LENGTHS = ("epochs", "steps", "minutes")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a classifier, a detector or a segmenter on your own images.

    DATA says which: one folder of images per class (perhaps in train, val and test folders) or a
    CSV file with columns path and label trains a classifier; COCO, Pascal VOC or YOLO annotations
    train a detector, with masks where there are any; images with label masks train a segmenter.
    The recipe gives every setting below its value; what you name on the command line takes its
    place.
    """

    command: ClassVar[str] = "train"
    data: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="DATA")]] = None
    """The images; the same as --data.path."""
    recipe: str = get_task(DEFAULT).recipe
    """A name (`swinkit train --help` lists those of the task), or a YAML file with settings of your
    own."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Train, then say where the results are.

        Raises:
            SwinkitError: no data, or anything that training refuses.
        """
        config = self.config
        if self.data is not None:
            config = replace(config, data=replace(config.data, path=self.data))
        if config.data.path == NO_DATA and config.runtime.resume is None:
            raise ConfigError(
                f"no images to train on; name their folder: swinkit {self.command} FOLDER"
            )
        if config.runtime.resume is None and not os.path.exists(config.data.path):
            raise DataError(f"{config.data.path}: no such file or folder; check the path")
        if config.runtime.resume is None:
            # Where the run's folder is taken, another one beside it is made.
            check_place(config.runtime.out.parent, folder=True)
            if not os.path.lexists(config.runtime.out):
                check_place(config.runtime.out, folder=True)
        # Imported here because they bring PyTorch, which --help does without.
        from swinkit.training.resume import changed_settings
        from swinkit.training.train import train

        changes = {}
        if config.runtime.resume is not None:
            changes = changed_settings(recorded_config(config.runtime.resume), config)
        result = train(config, settings=changes)
        if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started, the first
            print(f"results in {result.folder}")


def train_defaults(arguments: list[str]) -> Train:
    """The defaults of every setting: those of the run that the arguments resume or of the recipe
    that they name, or else of the one that fits the task, the model or the data that they name.

    Raises:
        ConfigError: no such recipe, or one of another task.
        TrainingError: no run to resume.
    """
    task, recipe = _value(arguments, "--task"), _value(arguments, "--recipe")
    resume = _value(arguments, "--runtime.resume", "--resume")
    if resume is not None and resume.lower() != "none":
        return _resume_defaults(expand_user(Path(resume)), task, recipe)
    data = _value(arguments, "--data.path") or _first_plain(arguments) or NO_DATA
    if task is None and recipe is None:
        task = find_task(_value(arguments, "--model.name", "--name"), data)
    config = load_recipe(recipe, data, task=task)
    lengths = [name for name in LENGTHS if _value(arguments, f"--schedule.{name}", f"--{name}")]
    config = replace(
        config,
        data=replace(config.data, path=NO_DATA),
        schedule=config.schedule.freed(lengths),
    )
    return Train(recipe=recipe or get_task(config.task).recipe, config=config)


def print_help(arguments: list[str]) -> None:
    """The page for the task, with the values of the recipe, that the arguments name."""
    from swinkit.commands.train_help import help_page

    defaults = train_defaults([word for word in arguments if word not in ("-h", "--help")])
    print(help_page(defaults.config, defaults.recipe))


def _resume_defaults(folder: Path, task: str | None, recipe: str | None) -> Train:
    """The settings of a run: what differs from them was told on the command line."""
    config = recorded_config(folder)
    if task not in (None, config.task):
        raise ConfigError(
            f"--task is {task}, but the run in {folder} was started with {config.task}; leave it "
            "out to go on, or start a new run"
        )
    if recipe is not None:
        raise ConfigError(
            f"--recipe {recipe} does not go with --runtime.resume: the run in {folder} has its "
            "settings recorded in config.yaml; leave it out to go on, or start a new run"
        )
    return Train(recipe=get_task(config.task).recipe, config=config)


def _value(arguments: list[str], *flags: str) -> str | None:
    """The last value that is given to an option, by any of its names."""
    found = None
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in flags and equals:
            found = value
        elif flag in flags and place + 1 < len(arguments):
            found = arguments[place + 1]
    return found


def _first_plain(arguments: list[str]) -> str | None:
    """The first argument that is neither a flag nor, as far as can be seen, the value of one."""
    before = ""
    for argument in arguments:
        follows_flag = before.startswith("-") and "=" not in before
        if not argument.startswith("-") and not follows_flag:
            return argument
        before = argument
    return None
