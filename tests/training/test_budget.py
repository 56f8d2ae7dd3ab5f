import time
from dataclasses import replace

import pytest
from rich.console import Console

from swinkit.task.schedule_config import ScheduleConfig
from swinkit.training.budget import Budget
from swinkit.training.processes import Processes
from swinkit.training.run_folder import read_results
from swinkit.training.train import train

QUIET = Console(quiet=True)


def test_run_of_some_steps_ends_there_and_resuming_adds_nothing(tiny_config):
    config = tiny_config(schedule={"steps": 5, "warmup_steps": 2})
    result = train(config, console=QUIET)
    rows = read_results(result.folder / "results.csv")
    assert len(rows) == 2, "three steps make an epoch"
    assert rows[-1]["lr"] == pytest.approx(3e-3 * 0.01)
    again = replace(config, runtime=replace(config.runtime, resume=result.folder))
    assert train(again, console=QUIET).epochs == 2


def test_run_of_some_minutes_ends_with_the_decay_complete(tiny_config):
    config = tiny_config(schedule={"minutes": 0.02, "warmup_steps": 1})
    result = train(config, console=QUIET)
    rows = read_results(result.folder / "results.csv")
    assert rows[-1]["lr"] == pytest.approx(3e-3 * 0.01)
    again = replace(config, runtime=replace(config.runtime, resume=result.folder))
    assert train(again, console=QUIET).epochs == len(rows)


def test_clock_counts_what_an_earlier_sitting_used(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    budget = Budget(ScheduleConfig(minutes=1.0), Processes(), spent_seconds=30.0)
    budget.on_train_start(None, None)
    assert budget.clock() == pytest.approx(0.5)
    now[0] += 15
    budget._look()
    assert budget.done(0, 0) == pytest.approx(0.75)
    assert budget.most_epochs(10) == -1
    assert Budget(ScheduleConfig(steps=25), Processes()).most_epochs(10) == 3
