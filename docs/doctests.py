"""Examples in docstrings become blocks of code on the page of the API."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*\n?(?:^.+\n?)*", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Puts fences around `>>>` lines and the output below them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = EXAMPLE.sub(_fenced, text)


def _fenced(found: re.Match[str]) -> str:
    indent = found[1]
    return f"{indent}```pycon\n{found[0].rstrip()}\n{indent}```\n"
