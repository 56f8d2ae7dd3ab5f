"""Functions in a process of their own answer, or say in a line why they do not."""

import os
import signal
import time

import pytest

from swinkit import SwinkitError
from swinkit.fresh_process import in_fresh_process

MEGABYTES = 300


def grow() -> int:
    return len(bytes(range(256)) * (MEGABYTES * 4096))


def fail() -> None:
    raise ValueError("no such size")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_memory_is_that_of_the_function() -> None:
    value, memory_mb = in_fresh_process(grow)
    assert value == MEGABYTES * 2**20
    assert MEGABYTES < memory_mb < MEGABYTES + 1500


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (fail, (), "ValueError: no such size"),
        (die, (), "the system killed it"),
        (os._exit, (3,), "ended with code 3"),
        (time.sleep, (100,), "takes more than 1 s"),
    ],
)
def test_why_there_is_no_answer(function: object, arguments: tuple[int, ...], said: str) -> None:
    with pytest.raises(SwinkitError, match=said):
        in_fresh_process(function, *arguments, budget=1.0 if "1 s" in said else 60.0)
