"""`swinkit train`: a recipe, overridden setting by setting."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from swinkit.errors import ConfigError
from swinkit.training.config import TrainConfig, load_recipe

DEFAULT_RECIPE = "fine_tune"
NO_DATA = Path("FOLDER")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a classifier on your own images.

    DATA is a folder with one folder of images per class, or train, val and test folders of such,
    or a CSV file with columns path and label. The recipe gives every setting below its value; what
    you name on the command line takes its place.
    """

    data: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="DATA")]] = None
    """The images; the same as --data.path."""
    recipe: str = DEFAULT_RECIPE
    """small_data: from scratch on few images. fine_tune: published weights on your images.
    paper, fine_tune_paper: as published. Or a YAML file with settings of your own."""
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
            raise ConfigError("no images to train on; name their folder: swinkit train FOLDER")
        # Imported here because it brings PyTorch, which --help does without.
        from swinkit.training.train import train

        result = train(config)
        print(f"results in {result.folder}")


def train_defaults(arguments: list[str]) -> Train:
    """The defaults of every setting: those of the recipe that the arguments name.

    Raises:
        ConfigError: no such recipe.
    """
    recipe = DEFAULT_RECIPE
    for place, argument in enumerate(arguments):
        if argument == "--recipe" and place + 1 < len(arguments):
            recipe = arguments[place + 1]
        elif argument.startswith("--recipe="):
            recipe = argument.partition("=")[2]
    config = load_recipe(recipe, NO_DATA)
    return Train(recipe=recipe, config=config)
