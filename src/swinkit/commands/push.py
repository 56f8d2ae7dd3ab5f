"""`swinkit push`: a trained model to the Hugging Face hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Push:
    """Put the best weights of a run on the Hugging Face hub, with a card made from the run.

    Anybody who may read the repository then says `--weights owner/name`. The access token is that
    of `hf auth login`, or HF_TOKEN; HF_ENDPOINT names another hub.
    """

    run_folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of the run, such as runs/train."""
    repository: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="OWNER/NAME")]]
    """Made if it is not there."""
    public: bool = False
    """Let everybody read a new repository; one that is there stays as it is."""
    license: str | None = None
    """Of the weights, as the hub names it, such as apache-2.0."""
    pictures: bool = True
    """Publish the curves and the pictures of the reports, which show images of the data."""

    def run(self) -> None:
        """Push, then say where it is.

        Raises:
            SwinkitError: no such run, or the hub refuses.
        """
        from swinkit.training.push import push

        address = push(
            self.run_folder,
            self.repository,
            public=self.public,
            license=self.license,
            pictures=self.pictures,
        )
        print(f"{address}")
