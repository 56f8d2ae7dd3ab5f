"""Dataclasses to plain values and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from swinkit.errors import ConfigError
from swinkit.settings import finite, from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Spout:
    width: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Gas:
    kind: Literal["gas"] = "gas"


@dataclass(frozen=True, kw_only=True)
class Coil:
    kind: Literal["coil", "plate"] = "coil"
    watts: int = 2000


@dataclass(frozen=True, kw_only=True)
class Kettle:
    liters: float = 1.0
    whistles: bool = True
    shelf: Path | None = None
    marks: tuple[int, ...] | int = 3
    lid: Spout | None = None
    spouts: tuple[Spout, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    heater: Gas | Coil | None = None
    size_hw: tuple[int, int] = (1, 1)


def test_every_kind_of_field_survives_json() -> None:
    kettle = Kettle(
        liters=2.0,
        shelf=Path("kitchen/shelf"),
        marks=(1, 2),
        lid=Spout(),
        spouts=(Spout(), Spout(width=0.5)),
        labels={"color": "red"},
        heater=Coil(kind="plate"),
    )
    assert from_plain(Kettle, json.loads(json.dumps(to_plain(kettle)))) == kettle
    assert from_plain(Kettle, {"marks": 4, "lid": Spout()}) == Kettle(marks=4, lid=Spout())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"watts": 3, "color": "red"}, "unknown setting color, watts; this version knows liters"),
        ({"spouts": [{}, {"depth": 1}]}, r"unknown setting spouts\[1\]\.depth"),
        ({"lid": {"width": "wide"}}, r"lid\.width is 'wide'; give a number"),
        ({"whistles": "loud"}, "whistles is 'loud'; give bool"),
        ({"marks": 1.5}, "marks is 1.5; give int"),
        ({"heater": {"kind": "gas", "watts": 3}}, r"unknown setting heater\.watts"),
        ({"spouts": 7}, "spouts is 7; give a list"),
        ({"lid": 7}, "lid: expected names with values, got 7"),
        ({"liters": float("nan")}, "liters is nan; give a finite number"),
        ({"liters": "inf"}, "liters is 'inf'; give a number"),
        ({"liters": [1.0]}, r"liters is \[1.0\]; give a number"),
        ({"liters": None}, "liters is None; give a number"),
        ({"whistles": 1}, "whistles is 1; give bool"),
        ({"shelf": ""}, "shelf is empty; name a path"),
        ({"shelf": 3}, "shelf is 3; give a path"),
        ({"marks": [1, "two"]}, r"marks\[1\] is 'two'; give int"),
        ({"labels": [1]}, r"labels is \[1\]; give names with values"),
        ({"size_hw": [1, 2, 3]}, "size_hw has 3 values; give 2"),
        ({"heater": {"kind": "coil", "watts": "abc"}}, r"heater\.watts is 'abc'; give int"),
        ({"heater": {"kind": "wood"}}, "heater.kind is 'wood'; give gas"),
    ],
)
def test_mistakes_are_named_by_their_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_plain(Kettle, values)


def test_numbers_in_text_are_numbers_and_home_is_written_out() -> None:
    values = {"liters": "1e-3", "marks": ["1", 2.0], "shelf": "~/shelf", "heater": {"watts": "7"}}
    kettle = from_plain(Kettle, {**values, "heater": {"kind": "coil", "watts": "7"}})
    assert (kettle.liters, kettle.marks) == (1e-3, (1, 2))
    assert kettle.shelf == Path.home() / "shelf"
    assert kettle.heater == Coil(watts=7)


def test_numbers_are_finite_at_every_depth() -> None:
    finite(Kettle(spouts=(Spout(),)))
    with pytest.raises(ConfigError, match=r"spouts\[1\]\.width is inf; give a finite number"):
        finite(Kettle(spouts=(Spout(), Spout(width=float("inf")))))
