"""What is wrong with a data set, item by item, and what was done about each item."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swinkit.data.config import DataConfig
from swinkit.errors import DataError

ProblemKind = Literal[
    "missing image",
    "bad image",
    "HEIC image",
    "image of another size",
    "box outside the image",
    "box over the edge",
    "box of zero area",
    "mask of another size",
    "unusable mask",
    "object without mask",
    "duplicate id",
    "category ids with holes",
    "image without objects",
    "mixed formats",
    "unknown image",
    "unknown class",
    "unreadable entry",
    "image in two splits",
    "image of several classes",
    "image without a class",
    "image that lost its objects",
    "image without a label file",
    "label file without an image",
    "ambiguous image",
    "picture turned by EXIF",
    "other file name",
    "duplicate class",
    "missing folder",
    "key points left out",
    "oriented boxes",
    "shape left out",
    "missing mask",
    "bad mask",
    "label outside the classes",
    "mask without labels",
    "masks that overlap",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One item that is not as it should be.

    Attributes:
        kind: the class of problem.
        where: the file, and the object inside it.
        done: what became of it.
    """

    kind: ProblemKind
    where: str
    done: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.done}"


def image_problem(path: Path, reason: str) -> Problem:
    """The problem of an image that cannot be used and is left out."""
    return Problem("HEIC image" if "HEIC" in reason else "bad image", str(path), reason)


class Problems:
    """Collects problems while a data set is read."""

    def __init__(self) -> None:
        self.items: list[Problem] = []

    def add(self, kind: ProblemKind, where: str | Path, done: str) -> None:
        """Record one item."""
        self.items.append(Problem(kind, str(where), done))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def count_kinds(problems: Iterable[Problem]) -> dict[str, int]:
    """Number of items of each kind, most frequent first."""
    return dict(Counter(problem.kind for problem in problems).most_common())


def describe_problems(problems: Iterable[Problem], most: int = 3) -> list[str]:
    """Lines of text: each kind with its count, and its first items below."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    lines = []
    for kind, items in sorted(by_kind.items(), key=lambda pair: -len(pair[1])):
        lines.append(f"problem: {kind}: {len(items)}")
        lines += [f"  {item.where}: {item.done}" for item in items[:most]]
        if len(items) > most:
            lines.append(f"  and {len(items) - most} more")
    return lines


def describe_all(notes: Iterable[str], problems: Iterable[Problem]) -> list[str]:
    """Lines of text: remarks on a data set, and its problems."""
    return [*(f"note: {note}" for note in notes), *describe_problems(problems)]


def refuse_problems(
    path: Path, problems: Iterable[Problem], why: str = "refused because of strict"
) -> None:
    """What `strict` does.

    Raises:
        DataError: there is a problem of any kind; the message counts them and names the first.
    """
    items = list(problems)
    if items:
        leave = ", or leave strict off" if "strict" in why else ""
        counts = ", ".join(f"{kind} {count}" for kind, count in count_kinds(items).items())
        raise DataError(
            f"{path}: {len(items)} problems, {why}: {counts}; the first: {items[0].where} "
            f"({items[0].kind}: {items[0].done}); repair them{leave}"
        )


def refuse_unsound(config: DataConfig, problems: Problems) -> None:
    """What the settings `on_bad_image` and `strict` ask for.

    Raises:
        DataError: an image is missing or unreadable and "refuse" is set, or anything is wrong and
            `strict` is.
    """
    path = config.path.expanduser()
    bad = [item for item in problems if item.kind in ("bad image", "HEIC image", "missing image")]
    if bad and config.on_bad_image == "refuse":
        raise DataError(
            f"{path}: {len(bad)} images are bad or missing: {bad[0]}; repair or remove them, or "
            "let on_bad_image skip them"
        )
    if config.strict:
        refuse_problems(path, problems)
