"""What tyro says of options that it refuses, in one line instead of a box."""

import contextlib
import difflib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import dropwhile, takewhile

from swinkit.errors import ConfigError

ALIKE = 0.8  # of 1: how much of a missing option a given one has, if that is what was meant
UNKNOWN, MISSING = "Unrecognized options: ", "Missing from "
_FRAME = re.compile(r"[╭╮╰╯│]")
_RULE = re.compile(r"\s*(─+|-{5,})\s*")  # dashes where the output is no UTF-8
_FLAG = re.compile(r"--[\w.-]+")


@contextlib.contextmanager
def in_one_line(program: str, arguments: Sequence[str]) -> Iterator[None]:
    """Inside, a refusal of tyro, which prints it and exits, becomes one error.

    tyro has no public way to the parts of a refusal: they are read from what it prints.

    Args:
        program: the command. arguments: what it was given.

    Raises:
        ConfigError: an option that is unknown, missing, or has a value of another kind.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit as exit_:
        if exit_.code == 0 or not printed.getvalue().strip():
            raise
        reason = summarize(printed.getvalue(), arguments)
        raise ConfigError(f"{reason}; see {program} --help") from exit_
    else:
        sys.stderr.write(printed.getvalue())


def summarize(box: str, arguments: Sequence[str] = ()) -> str:
    """The reason that stands in a box, without advice, frame and line breaks.

    Args:
        arguments: what was given: one of them may be a missing option with a slip of the pen.
    """
    lines = [_FRAME.sub("", line) for line in box.splitlines()[1:]]
    lines = list(dropwhile(_RULE.fullmatch, lines))
    first = list(takewhile(lambda line: not _RULE.fullmatch(line), lines))
    # Behind an empty line follow the attempts of every type.
    reason = " ".join(" ".join(takewhile(str.strip, first)).split())
    reason = reason.removesuffix(".").removeprefix("Error parsing ")
    if reason.startswith(MISSING):
        # Each option stands four columns in, what it is stands further in.
        names = [line.split()[0] for line in first[1:] if re.match(r" {5,6}\S", line)]
        given = [word.partition("=")[0] for word in arguments if word.startswith("--")]
        for name in names:
            for word in difflib.get_close_matches(name, given, 1, ALIKE):
                return f"no option {word}, did you mean {name}?"
        return f"missing: {', '.join(names)}"
    if not reason.startswith(UNKNOWN):
        return reason or " ".join(_FRAME.sub("", box).replace("─", "").split())
    word = reason.removeprefix(UNKNOWN).split(", ")[0]
    if not word.startswith("-"):
        return f"{word} belongs to no option"
    known = [flag for line in lines[len(first) :] for flag in _FLAG.findall(line)]
    nearest = difflib.get_close_matches(word, [flag for flag in known if flag != "--help"], 1, 0)
    return f"no option {word}" + (f", did you mean {nearest[0]}?" if nearest else "")
