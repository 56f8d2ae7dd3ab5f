"""The examples in the docstrings of the public names run and give what they show."""

import doctest
import inspect
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import swinkit

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITHOUT = {"SwinkitError"}  # an error: raised, not called


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(recurse=inspect.isclass(getattr(swinkit, name))).find(
        getattr(swinkit, name), name, globs={"swinkit": swinkit}
    )
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", sorted(set(swinkit.__all__) - WITHOUT))
def test_every_public_name_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    tests = examples(name)
    assert tests, f"swinkit.{name} has no example"
    said: list[str] = []
    for test in tests:
        runner: Any = doctest.DocTestRunner(optionflags=OPTIONS)
        runner.run(test, out=said.append)
    assert not [text for text in said if text.startswith("*" * 10)], "".join(said)
    assert os.getcwd() == str(tmp_path)
