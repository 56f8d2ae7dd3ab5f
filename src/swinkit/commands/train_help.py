"""The page of `swinkit train --help`: the usual options, then every setting in a line."""

import ast
import inspect
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Suppress

from swinkit.registry import TASKS
from swinkit.settings import to_plain
from swinkit.task.train_config import TrainConfig
from swinkit.training.recipes import SHORT, recipes_of

FLAG_WIDTH = 36  # columns of an option with its value, so that what it does stands below each other
NARROWEST, WIDEST = 60, 110  # columns of the page


@dataclass(frozen=True, kw_only=True)
class Option:
    """A setting as an option of the command.

    Attributes:
        section: name of the group of settings; "" at the top.
        name: with hyphens, without its section.
        short: whether it can be named without its section.
        value: of the recipe.
        choices: the words that it may be, if it is one.
        help: what it does, as one paragraph.
    """

    section: str
    name: str
    short: bool
    value: str
    choices: tuple[str, ...]
    help: str

    @property
    def long(self) -> str:
        """The option as it is always understood."""
        return f"--{self.section}.{self.name}" if self.section else f"--{self.name}"


def help_page(config: TrainConfig, recipe: str, command: str = "train") -> str:
    """The page for a task, with the values that a recipe gives its settings."""
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((80, 24)).columns))
    options = list(_options(config))
    short = {option.name: option for option in options if option.short}
    usual = [short[name.replace("_", "-")] for name in SHORT]
    lines = [
        f"usage: swinkit {command} DATA [--recipe NAME] [OPTIONS]",
        "",
        *textwrap.wrap(_introduction(config.task, command), width),
        "",
        "DATA"
        + " " * 10
        + "a folder, or a .json, .yaml or .csv file; `swinkit inspect DATA` shows it",
        "--recipe" + " " * 6 + f"{recipe} is shown; a YAML file of your own, or for {config.task}:",
        *_cut([f"    {name:<24}{does}" for name, does in recipes_of(config.task).items()], width),
        "",
    ]
    for option in usual:
        lines += _full(f"--{option.name} {option.value}", f"{option.help} ({option.long})", width)
    for section in dict.fromkeys(option.section for option in options):
        group = [option for option in options if option.section == section and option not in usual]
        lines += ["", f"{section or 'more'}:", *_cut(map(_line, group), width)]
    lines += ["", "--help-all shows the same settings with all that is to say of them."]
    return "\n".join(lines)


def _introduction(task: str, command: str) -> str:
    if command != "train":
        return (
            "Pretrain a backbone on your own images, without labels: it learns to fill in hidden "
            "squares. What you name takes the place of the recipe's values; go on from the result "
            "with swinkit train DATA --weights runs/pretrain/best.safetensors."
        )
    others = " or ".join(other for other in TASKS if other != task)
    return (
        f"Train on your own images. This is the page for {task}, with the values of the recipe; "
        f"what you name takes their place. Other pages: --task {others}, --recipe or DATA."
    )


def _options(config: Any, section: str = "") -> Iterator[Option]:
    """The settings in a dataclass and in those below it, without the hidden ones."""
    hints, told = get_type_hints(type(config), include_extras=True), documentation(type(config))
    nested = []
    for item in fields(config):
        marks = getattr(hints[item.name], "__metadata__", ())
        value = getattr(config, item.name)
        if Suppress in marks or (section, item.name) == ("data", "path"):
            continue
        if is_dataclass(value):
            nested.append((value, f"{section}.{item.name}".lstrip(".")))
            continue
        aliases = [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]
        yield Option(
            section=section,
            name=item.name.replace("_", "-"),
            short=bool(aliases),
            value=_shown(value),
            choices=_choices(hints[item.name]),
            help=told.get(item.name, ""),
        )
    for value, name in nested:
        yield from _options(value, name)


def _choices(hint: Any) -> tuple[str, ...]:
    kinds = [hint, *get_args(hint)]
    found = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
    return tuple(map(str, found[0])) if found and len(found[0]) > 1 else ()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(to_plain(value))


def _line(option: Option) -> str:
    flag = f"  {option.long} {option.value}"
    choices = f"({', '.join(option.choices)}) " if option.choices else ""
    return f"{flag:<{FLAG_WIDTH + 2}}  {choices}{option.help}"


def _full(flag: str, text: str, width: int) -> list[str]:
    """An option with all of its help."""
    indent = " " * 26
    first, *rest = textwrap.wrap(text, width - len(indent)) or [""]
    return [f"{flag:<{len(indent)}}{first}", *(indent + line for line in rest)]


def _cut(lines: Any, width: int) -> list[str]:
    return [line if len(line) <= width else f"{line[: width - 1].rstrip()}…" for line in lines]


def documentation(kind: type) -> dict[str, str]:
    """What a dataclass says of each field: the text below it, or its line under `Attributes:`."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        told |= _attributes(inspect.cleandoc(base.__doc__ or ""))
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                told[field.target.id] = " ".join(str(text.value.value).split())
    return told


def _attributes(docstring: str) -> dict[str, str]:
    told: dict[str, str] = {}
    _, _, section = docstring.partition("Attributes:\n")
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith("    "):
            break
        if line.startswith("    ") and not line.startswith("     "):
            heads, _, text = line.strip().partition(":")
            names = [name.strip() for name in heads.split(",")]
            told |= dict.fromkeys(names, text.strip())
        else:
            told |= {name: f"{told[name]} {line.strip()}".strip() for name in names}
    return told
