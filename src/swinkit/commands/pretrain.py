"""`swinkit pretrain`: masked images without labels, by the engine of `swinkit train`."""

from dataclasses import dataclass
from typing import ClassVar

from swinkit.commands import train
from swinkit.errors import ConfigError

TASK = "pretraining"


@dataclass(frozen=True, kw_only=True)
class Pretrain(train.Train):
    """Pretrain a backbone on your own images, without labels (SimMIM, arXiv 2111.09886).

    DATA is a folder of images, with folders in it or without, or data laid out for `swinkit train`,
    whose labels are left alone. Squares of each image are hidden, and the network learns to fill
    them in. `swinkit train` then starts from the result with --weights.
    """

    command: ClassVar[str] = "pretrain"


def train_defaults(arguments: list[str]) -> Pretrain:
    """The defaults of every setting: those of the run that the arguments resume, or of the recipe.

    Raises:
        ConfigError: no such recipe, or one of another task.
        TrainingError: no run to resume.
    """
    found = train.train_defaults([*arguments, "--task", TASK])
    if found.config.task != TASK:
        raise ConfigError(f"--recipe {found.recipe} is none of {TASK}; choose another")
    return Pretrain(recipe=found.recipe, config=found.config)


def print_help(arguments: list[str]) -> None:
    """The page with the values of the recipe that the arguments name."""
    from swinkit.commands.train_help import help_page

    defaults = train_defaults([word for word in arguments if word not in ("-h", "--help")])
    print(help_page(defaults.config, defaults.recipe, Pretrain.command))
