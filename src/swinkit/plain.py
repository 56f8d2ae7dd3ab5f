"""Configurations, which are frozen dataclasses, from the plain values that a file holds."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from swinkit.errors import ConfigError

Settings = TypeVar("Settings")


def build(kind: type[Settings], values: Mapping[str, Any], what: str) -> Settings:
    """`kind(**values)`.

    Args:
        kind: a dataclass.
        values: its fields, or some of them.
        what: how an error names what is configured.

    Raises:
        ConfigError: a key that this version does not know.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"unknown setting {', '.join(unknown)} of {what}; it was written by another version of "
            "swinkit"
        )
    return kind(**values)
