"""Tables and progress bars on a terminal."""

from collections.abc import Container, Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from swinkit.errors import printable

WIDE = 200  # columns where output is no terminal; addresses then stay on one line


def standard_output() -> Console:
    """The terminal, or a wide page where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Container[int] = (),
    title: str | None = None,
) -> Table:
    """A table to print on a console; the columns `numbers`, counted from 0, stand to the right."""
    drawn = Table(title=title, header_style="bold", title_justify="left")
    for place, name in enumerate(header):
        drawn.add_column(name, justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    return drawn


def text_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, narrowest: int = 0
) -> list[str]:
    """Lines of plain text: the first cell of each to the left, numbers below each other.

    Args:
        narrowest: columns that a number has at least.
    """
    lines = [heads, *rows]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    widths = [max(width, narrowest) for width in others]
    return ["  ".join((line[0].ljust(first), *map(str.rjust, line[1:], widths))) for line in lines]


def progress_bar(console: Console, title: str, *columns: ProgressColumn) -> Progress:
    """A bar as wide as the terminal, which vanishes at the end; nothing where there is no terminal.

    Args:
        title: what stands before the bar, such as "{task.description}".
        columns: what stands behind it.
    """
    return Progress(
        TextColumn(title),
        BarColumn(bar_width=None),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class ImagesBar:
    """Images done, and a part of the current one; nothing where there is no terminal.

    It appears with the first call: what is printed before that, and the bars of downloads, have
    the terminal for themselves.

    Args:
        console: to draw on; None is stderr.
        title: what is done with the images.
    """

    def __init__(self, console: Console | None = None, title: str = "") -> None:
        self._title = title
        self._bar = progress_bar(
            console or Console(stderr=True),
            "{task.fields[images]}",
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("images", total=None, images="")
        self._done = self._total = 0

    def __enter__(self) -> "ImagesBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def images(self, done: int, total: int) -> None:
        """`done` images of all are done."""
        self._done, self._total = done, total
        self._show(done)

    def piece(self, done: int, total: int) -> None:
        """`done` pieces of the current image are done."""
        self._show(self._done + done / total)

    @property
    def completed(self) -> float:
        """Images done, with the part of the current one."""
        return self._bar.tasks[0].completed

    def _show(self, completed: float) -> None:
        # A batch reports its images after all of them are done: the bar never moves back.
        self._bar.update(
            self._task,
            completed=max(self.completed, completed),
            total=self._total,
            images=f"{self._title} {self._done}/{self._total} images".strip(),
        )
        self._bar.start()
