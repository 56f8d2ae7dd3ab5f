"""`swinkit explain`: what a model does with one image, as a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swinkit.commands.loading import ModelOptions
from swinkit.errors import ConfigError
from swinkit.files import check_place
from swinkit.task.options import check_range


@dataclass(frozen=True, kw_only=True)
class Explain(ModelOptions):
    """Show what happens to one image inside a model: windows, masks, attention, receptive fields.

    The page is one HTML file that needs no network.
    """

    image: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IMAGE")]]
    """The image."""
    out: Path = Path("explanation.html")
    """The page."""
    patch: tuple[float, float] = (0.5, 0.5)
    """Row and column of the place to look at, as shares of height and width."""
    stage: int = 1
    """Whose attention the figures show; counted from 1, as block and head are."""
    block: int | None = None
    """Block of that stage; the even ones are shifted. None takes the second."""
    head: int = 1
    """Head of that block."""
    answer: int = 1
    """Whose evidence is shown: 1 is the best class or box, or the largest segment."""

    def run(self) -> None:
        """Explain and write.

        Raises:
            SwinkitError: an unreadable image, unusable weights, a stage, block, head or place that
                does not exist, or a refused write.
        """
        self.check()
        if self.out.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(
                f"{self.out}: an explanation is a page; name a file that ends in .html"
            )
        check_place(self.out)
        for name in ("stage", "block", "head", "answer"):
            check_range(name, getattr(self, name), 1)
        from swinkit.explaining.explanation import explain

        found = explain(
            self.load(),
            self.image,
            patch=self.patch,
            stage=self.stage - 1,
            block=None if self.block is None else self.block - 1,
            head=self.head - 1,
            answer=self.answer - 1,
            say=print,
        )
        print("drawing the page")
        found.save(self.out)
        print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB, needs no network")
