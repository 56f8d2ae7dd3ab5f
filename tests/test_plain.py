"""Configurations from plain values."""

from dataclasses import dataclass

import pytest

from swinkit.errors import ConfigError
from swinkit.plain import build


@dataclass(frozen=True, kw_only=True)
class Kettle:
    litres: float = 1.0
    whistles: bool = True


def test_fields_by_name() -> None:
    assert build(Kettle, {"litres": 2.0}, "the kettle") == Kettle(litres=2.0)


def test_a_key_of_another_version() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting colour, watts of the kettle"):
        build(Kettle, {"watts": 3, "litres": 2.0, "colour": "red"}, "the kettle")
