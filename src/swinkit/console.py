"""What a person sees while images are worked on: a bar with the time left, on a terminal."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ImagesBar:
    """Images done, and a part of the one at work; nothing where there is no terminal.

    It appears with the first word of progress: what is said before that, and the bars of
    downloads, have the terminal for themselves.

    Args:
        console: to draw on; None is stderr.
        title: what is done with the images.
    """

    def __init__(self, console: Console | None = None, title: str = "") -> None:
        console = console or Console(stderr=True)
        self._title = title
        self._bar = Progress(
            TextColumn("{task.fields[images]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("images", total=None, images="")
        self._done = self._total = 0

    def __enter__(self) -> "ImagesBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def images(self, done: int, total: int) -> None:
        """So many images of all are done."""
        self._done, self._total = done, total
        self._show(done)

    def piece(self, done: int, total: int) -> None:
        """So many pieces of all of the image at work are done."""
        self._show(self._done + done / total)

    @property
    def completed(self) -> float:
        """Images done, with the part of the one at work."""
        return self._bar.tasks[0].completed

    def _show(self, completed: float) -> None:
        # Images of a batch are told after all of them are done: the bar never moves back.
        self._bar.update(
            self._task,
            completed=max(self.completed, completed),
            total=self._total,
            images=f"{self._title} {self._done}/{self._total} images".strip(),
        )
        self._bar.start()
