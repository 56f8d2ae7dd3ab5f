"""Nested dataclasses to plain values and YAML, and back with every mistake named."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import yaml

from swinkit.errors import ConfigError
from swinkit.files import atomic_write
from swinkit.parsing import integer, number, read_yaml

SizeHW = tuple[int, int]  # (height, width)
Progress = Callable[[int, int], None]  # pieces of work that are done, and all of them
KINDS: dict[Any, str] = {
    int: "int",
    float: "a number",
    bool: "bool, true or false",
    str: "text",
    Path: "a path",
}
LONGEST_SHOWN = 80  # characters of a wrong value in a message


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Config = TypeVar("Config", bound=Dataclass)
Named = TypeVar("Named")
Plain = TypeVar("Plain", bound="PlainConfig")


def to_plain(value: Any) -> Any:
    """Dataclasses and mappings as dictionaries, tuples as lists, paths as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class PlainConfig:
    """A dataclass that goes into files as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON and YAML can hold."""
        values: dict[str, Any] = to_plain(self)
        return values

    @classmethod
    def from_dict(cls: type[Plain], values: Mapping[str, Any]) -> Plain:
        """Inverse of `to_dict`, also after a trip through JSON; what is absent keeps its default.

        Raises:
            ConfigError: an unknown key, or a value of the wrong kind.
        """
        return from_plain(cls, values)  # type: ignore[type-var]


def flat(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested plain mappings as one, under names such as `optimizer.lr`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping) and value
        found |= flat(value, _join(where, name)) if inner else {_join(where, name): value}
    return found


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
        raise ConfigError(
            f"{where or 'the settings'}: expected names with values, got {_shown(values)}"
        )
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
    lists = [get_args(option) for option in options if get_origin(option) is tuple]
    if lists and (isinstance(value, (list, tuple)) or int not in options):
        return _convert_list(lists[0], value, where)
    return _convert_value([option for option in options if option is not type(None)], value, where)


def _pick(options: list[type[Config]], values: Any) -> type[Config]:
    """Of several dataclasses the one whose `kind` may be what the values say, else the first."""
    named = values.get("kind") if isinstance(values, Mapping) else None
    fitting = [kind for kind in options if named in get_args(get_type_hints(kind).get("kind"))]
    return (fitting or options)[0]


def _convert_list(items: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where} is {_shown(value)}; give a list")
    if Ellipsis not in items and len(value) != len(items):
        raise ConfigError(f"{where} has {len(value)} values; give {len(items)}")
    return tuple(
        _convert(items[0], part, f"{where}[{position}]") for position, part in enumerate(value)
    )


def _convert_value(options: list[Any], value: Any, where: str) -> Any:
    for option in options:
        found = _convert_one(option, value)
        if found is not None:
            return found
    if value == "" and Path in options:
        raise ConfigError(f"{where} is empty; name a path, or leave it out")
    wanted = " or ".join(
        ", ".join(map(str, get_args(option)))
        if get_origin(option) is Literal
        else KINDS.get(option, "names with values")
        for option in options
        # One number for all stands for a list of them.
        if get_origin(option) is not tuple
    )
    lasting = "finite " if isinstance(value, float) and not math.isfinite(value) else ""
    wanted = wanted.replace("a number", f"a {lasting}number")
    raise ConfigError(f"{where} is {_shown(value)}; give {wanted}")


def _convert_one(option: Any, value: Any) -> Any:
    """The value as one of the kinds that a field may have; None where it is not of that kind."""
    if get_origin(option) is Literal:
        same = [kept for kept in get_args(option) if kept == _convert_one(type(kept), value)]
        return same[0] if same else None
    if option is Path:
        if isinstance(value, Path):
            return value
        return expand_user(Path(value)) if isinstance(value, str) and value else None
    if option is float:  # YAML 1.1 reads 1e-3, which has no dot, as text
        return number(value)
    if option is int:
        return integer(value)
    if option in (bool, str):
        return value if isinstance(value, option) else None
    kind = get_origin(option) or option
    return value if kind is Any or (isinstance(kind, type) and isinstance(value, kind)) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


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
        if value is not None and not value >= bound:  # so that NaN is refused too
            raise ConfigError(f"{section}: {name} is {value}; it must be >= {bound}")


def finite(config: Any, where: str = "") -> None:
    """Refuse infinite numbers and NaN in a dataclass, its lists, and the dataclasses in it.

    Raises:
        ConfigError: the first of them, by the name of its field.
    """
    if is_dataclass(config):
        for item in fields(config):
            finite(getattr(config, item.name), _join(where, item.name))
    elif isinstance(config, (list, tuple)):
        for position, part in enumerate(config):
            finite(part, f"{where}[{position}]")
    elif isinstance(config, float) and not math.isfinite(config):
        raise ConfigError(f"{where} is {config}; give a finite number")


def expand_user(path: Path) -> Path:
    """A path with `~` written out, where there is such a user."""
    return Path(os.path.expanduser(path))


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
