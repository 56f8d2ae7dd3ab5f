"""Nested dataclasses to plain values and YAML, and back with every mistake named."""

from collections.abc import Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from swinkit.errors import ConfigError
from swinkit.files import atomic_write
from swinkit.parsing import read_yaml

SizeHW = tuple[int, int]  # (height, width)


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Config = TypeVar("Config", bound=Dataclass)
Named = TypeVar("Named")


def to_plain(value: Any) -> Any:
    """Dataclasses and mappings as dictionaries, tuples as lists, paths as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[Config], values: Any, where: str = "") -> Config:
    """A dataclass from what `to_plain` made of it; absent fields keep their defaults.

    Args:
        kind: the dataclass, with fields of plain values, tuples and further dataclasses.
        values: by name; a field of a dataclass may also be given as one.
        where: the key of `values` in what is read, for errors.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong kind; it names the key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or 'the settings'}: expected names with values, got {values!r}")
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        named = ", ".join(_join(where, name) for name in unknown)
        raise ConfigError(f"unknown setting {named}; this version knows {', '.join(known)}")
    for item in fields(kind):
        required = item.default is NO_DEFAULT and item.default_factory is NO_DEFAULT
        if required and item.name not in values:
            raise ConfigError(f"{_join(where, item.name)} is missing; give it")
    return kind(
        **{name: _convert(hints[name], values[name], _join(where, name)) for name in values}
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    nested = [option for option in options if is_dataclass(option) and isinstance(option, type)]
    if nested:
        given = isinstance(value, tuple(kind for kind in options if isinstance(kind, type)))
        return value if given else from_plain(_pick(nested, value), value, where)
    items = [get_args(option)[0] for option in options if get_origin(option) is tuple]
    if items:
        return _convert_list(items[0], options, value, where)
    return _convert_value(options, value, where)


def _pick(options: list[type[Config]], values: Any) -> type[Config]:
    """Of several dataclasses the one whose `kind` may be what the values say, else the first."""
    named = values.get("kind") if isinstance(values, Mapping) else None
    fitting = [kind for kind in options if named in get_args(get_type_hints(kind).get("kind"))]
    return (fitting or options)[0]


def _convert_list(item: Any, options: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        if int in options:  # one number for all
            return _convert_value((int,), value, where)
        raise ConfigError(f"{where} is {value!r}; give a list")
    if is_dataclass(item) and isinstance(item, type):
        return tuple(
            from_plain(item, part, f"{where}[{number}]") for number, part in enumerate(value)
        )
    return tuple(value)


def _convert_value(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if Path in options and isinstance(value, str):
        return Path(value)
    if float in options and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        # YAML 1.1 reads 1e-3, which has no dot, as text.
        try:
            return float(value)
        except ValueError as error:
            raise ConfigError(f"{where} is {value!r}; give a number") from error
    plain = [option for option in options if option in (int, bool, str)]
    if len(plain) == len(options) and type(value) not in plain:
        names = " or ".join(option.__name__ for option in plain)
        raise ConfigError(f"{where} is {value!r}; give {names}")
    if int in options and isinstance(value, (float, bool)):
        raise ConfigError(f"{where} is {value!r}; give a whole number")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def read_settings(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: missing, not YAML, or not a mapping.
    """
    content = read_yaml(path, error=ConfigError)
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


def probabilities(config: object, *names: str) -> None:
    """Check fields that are probabilities, or parts of a whole.

    Raises:
        ConfigError: a field outside 0..1.
    """
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must lie in 0..1")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not among the known ones.

    Raises:
        ConfigError: with the known ones named.
    """
    if value not in known:
        raise ConfigError(f"{name} is {value!r}; choose {', '.join(known)}")


def by_name(kind: str, name: str, known: Mapping[str, Named]) -> Named:
    """What goes by a name.

    Raises:
        ConfigError: nothing does; the names are listed.
    """
    if name not in known:
        raise ConfigError(f"no {kind} named {name!r}; choose one of {', '.join(known)}")
    return known[name]
