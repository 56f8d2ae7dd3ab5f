"""What the splits of every task share."""

from dataclasses import dataclass
from pathlib import Path

from swinkit.data.problems import Problem
from swinkit.data.splits import Splits


@dataclass(frozen=True)
class Sample:
    path: Path


@dataclass(frozen=True, kw_only=True)
class Counted(Splits[Sample]):
    def counts(self) -> dict[str, dict[str, int]]:
        return {"train": {"cat": 1200, "salamander": 3}, "val": {"cat": 7, "salamander": 12}}


def test_a_summary_has_names_to_the_left_and_numbers_to_the_right() -> None:
    splits = Counted(
        class_names=("cat", "salamander"),
        notes=("no val",),
        problems=(Problem("bad image", "a.png", "left out"),),
    )
    assert splits.summary().splitlines() == [
        "class       train  val",
        "cat          1200    7",
        "salamander      3   12",
        "note: no val",
        "problem: bad image: 1",
        "  a.png: left out",
    ]
