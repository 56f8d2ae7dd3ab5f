"""Nested dataclasses to plain values and YAML, and back with every mistake named."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from swinkit.errors import ConfigError
from swinkit.files import atomic_write

SizeHW = tuple[int, int]  # (height, width)

Config = TypeVar("Config")


def to_plain(value: Any) -> Any:
    """Dataclasses as dictionaries, tuples as lists, paths as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[Config], values: Any, where: str = "") -> Config:
    """A dataclass from what `to_plain` made of it; absent fields keep their defaults.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong kind; it names the key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or 'the settings'}: expected names with values, got {values!r}")
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        named = ", ".join(_join(where, name) for name in unknown)
        raise ConfigError(f"unknown setting {named}; known are {', '.join(known)}")
    for item in fields(kind):  # type: ignore[arg-type]
        required = item.default is MISSING and item.default_factory is MISSING
        if required and item.name not in values:
            raise ConfigError(f"{_join(where, item.name)} is missing; give it")
    return kind(
        **{name: _convert(hints[name], values[name], _join(where, name)) for name in values}
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    options = get_args(hint) if origin is Union or type(hint).__name__ == "UnionType" else (hint,)
    if value is None and type(None) in options:
        return None
    for option in options:
        if is_dataclass(option) and isinstance(option, type):
            return from_plain(option, value, where)
    items = [get_args(option)[0] for option in options if get_origin(option) is tuple]
    if items and is_dataclass(items[0]) and isinstance(value, (list, tuple)):
        return tuple(
            from_plain(items[0], item, f"{where}[{number}]")  # type: ignore[arg-type]
            for number, item in enumerate(value)
        )
    if items and not isinstance(value, (list, tuple, int if int in options else list)):
        raise ConfigError(f"{where} is {value!r}; give a list")
    if float in options and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        # YAML 1.1 reads 1e-3, which has no dot, as text.
        try:
            return float(value)
        except ValueError as error:
            raise ConfigError(f"{where} is {value!r}; give a number") from error
    plain = [option for option in options if option in (int, bool, str)]
    if len(plain) == len(options) and (type(value) not in plain):
        names = " or ".join(option.__name__ for option in plain)
        raise ConfigError(f"{where} is {value!r}; give {names}")
    if int in options and isinstance(value, (float, bool)):
        raise ConfigError(f"{where} is {value!r}; give a whole number")
    return tuple(value) if isinstance(value, list) else value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected names with values, as `name: value` lines")
    return content


def write_yaml(values: dict[str, Any], path: Path) -> None:
    """Write a mapping, atomically. Raises SwinkitError where the system refuses."""
    with atomic_write(path) as temporary:
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def at_least(section: str, config: object, **least: float) -> None:
    """Check fields against their smallest values; None passes.

    Raises:
        ConfigError: a field below; it names section, field and bound.
    """
    for name, bound in least.items():
        value = getattr(config, name)
        if value is not None and value < bound:
            raise ConfigError(f"{section}: {name} is {value}; it must be >= {bound}")
