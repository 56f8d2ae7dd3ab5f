"""Dataclasses to plain values and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from swinkit.errors import ConfigError
from swinkit.settings import from_plain, to_plain


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
    ],
)
def test_mistakes_are_named_by_their_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_plain(Kettle, values)
