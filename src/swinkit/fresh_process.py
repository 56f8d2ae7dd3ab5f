"""Functions in a process of their own, whose peak memory is theirs alone."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from swinkit.errors import SwinkitError, one_line

KILLED = -9


def in_fresh_process(
    function: Callable[..., Any], *arguments: Any, budget: float = float("inf")
) -> tuple[Any, float]:
    """What a function of a module returns, and the peak of its process's memory in MB.

    Args:
        budget: seconds after which the process is ended.

    Raises:
        SwinkitError: the function failed, took too long, or its process was killed.
    """
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_answer, args=(answers, function, arguments))
    process.start()
    deadline = time.monotonic() + budget
    try:
        found = None
        while found is None:
            alive = process.is_alive()
            try:
                found = answers.get(timeout=0.2)
            except Empty:
                if not alive:
                    raise SwinkitError(_end(process.exitcode)) from None
                if time.monotonic() > deadline:
                    raise SwinkitError(f"it takes more than {budget:.0f} s") from None
    finally:
        process.kill()
        process.join()
    value, memory_mb, failure = found
    if failure:
        raise SwinkitError(failure)
    return value, memory_mb


def _answer(answers: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        value, failure = function(*arguments), ""
    except Exception as error:
        value, failure = None, one_line(f"{type(error).__name__}: {error}")[:300]
    answers.put((value, _peak_mb(), failure))


def _peak_mb() -> float:
    """Of this process alone; ru_maxrss would start at the parent's. NaN where nothing tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def _end(exit_code: int | None) -> str:
    if exit_code == KILLED:
        return "the system killed it, as it does when memory ends"
    return f"its process ended with code {exit_code} and no answer"
