"""`swinkit inspect`: what a data set holds, and what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.text import Text

from swinkit.console import standard_output, table
from swinkit.data.config import DataKind
from swinkit.files import check_place
from swinkit.registry import inspect

if TYPE_CHECKING:
    from swinkit.data.inspection import Inspection

SHOWN_PROBLEMS = 3  # items of each kind; the page lists more


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Look at a data set before training: classes, counts, sizes, problems, and pictures.

    Folders of classes, CSV lists of classes or boxes, COCO, Pascal VOC, YOLO, labelme, CVAT, and
    folders of images with masks are recognized by looking.
    """

    data: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DATA")]]
    """A folder, or a .json, .yaml or .csv file."""
    kind: DataKind = "auto"
    """How the data is written; auto finds out."""
    out: Path = Path("runs/inspect")
    """Folder for index.html and pictures.png."""
    pictures: int = 16
    """How many images to show with their annotations drawn."""
    scan: Literal["header", "full", "none"] = "header"
    """Check of every image: header is fast, full decodes each, none trusts them."""
    strict: bool = False
    """Exit with an error if there is any problem, after everything was shown."""
    seed: int = 0
    """Chooses the pictures."""
    channels: int | Literal["auto"] = "auto"
    """Channels of the images: 3 color, 1 gray, or the number of bands; auto looks."""
    shown_bands: tuple[int, ...] | None = None
    """The one or three bands, counted from 1, that pictures are drawn from; None: the first."""

    def run(self) -> None:
        """Inspect, print, write.

        Raises:
            SwinkitError: no such data set, a refused write, or problems where strict.
        """
        check_place(self.out, folder=True)
        inspection = inspect(
            self.data,
            kind=self.kind,
            scan=self.scan,
            pictures=self.pictures,
            seed=self.seed,
            channels=self.channels,
            shown_bands=self.shown_bands,
            out=self.out,
        )
        _print(inspection)
        from swinkit.data.page import PAGE, SHEET

        print(f"page in {self.out / PAGE}, its pictures in {self.out / SHEET}")
        if self.strict:
            from swinkit.data.problems import refuse_problems

            refuse_problems(self.data, inspection.problems)


def _print(inspection: "Inspection") -> None:
    from swinkit.data.problems import describe_problems

    console = standard_output()
    console.print(Text(f"{inspection.path}: {inspection.title}", style="bold"))
    for facts in inspection.tables:
        numbers = range(1, len(facts.header))
        console.print(table(facts.header, facts.rows, numbers=numbers, title=facts.title))
    for note in inspection.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    for line in describe_problems(inspection.problems, SHOWN_PROBLEMS):
        console.print(Text(line, style="red"), soft_wrap=True)
    if not inspection.problems:
        console.print("no problems found")
