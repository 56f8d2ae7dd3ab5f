import math
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from swinkit.task.train_config import ScheduleConfig
from swinkit.training.processes import Processes
from swinkit.training.run_folder import read_results
from swinkit.training.schedule import Budget, Schedule
from swinkit.training.train import train

QUIET = Console(quiet=True)


def test_values_at_the_corners():
    config = ScheduleConfig(steps=100, warmup_steps=20, start_factor=0.001, end_factor=0.01)
    schedule = Schedule(config, 1)
    assert schedule(0) == pytest.approx(0.001)
    assert schedule(10) == pytest.approx(0.5005)
    assert schedule(20) == pytest.approx(1.0)
    assert schedule(60) == pytest.approx(0.01 + 0.99 * 0.5)
    assert schedule(40) == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule(100) == schedule(500) == pytest.approx(0.01)


@given(epochs=st.integers(1, 50), steps=st.integers(1, 50), warmup=st.floats(0, 60))
def test_rises_then_falls_and_stays_in_range(epochs, steps, warmup):
    config = ScheduleConfig(epochs=epochs, warmup_epochs=warmup)
    schedule = Schedule(config, steps)
    values = [schedule(step) for step in range(epochs * steps + 1)]
    assert all(0 < value <= 1 + 1e-12 for value in values)
    peak = schedule.warmup_steps
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert max(values) == pytest.approx(1.0)


def test_poly_multiplies_the_warm_up_and_falls_to_the_end():
    config = ScheduleConfig(
        kind="poly", steps=100, warmup_steps=10, start_factor=0.0, end_factor=0.0
    )
    schedule = Schedule(config, 7)
    assert [schedule(step) for step in (0, 5, 10, 60, 100)] == pytest.approx(
        [0, 0.5 * 0.95, 0.9, 0.4, 0]
    )


def test_multistep_drops_at_the_published_epochs():
    config = ScheduleConfig(kind="multistep", epochs=12, warmup_steps=0)
    schedule = Schedule(config, 10)
    changes = [step for step in range(1, 120) if schedule(step) != schedule(step - 1)]
    assert changes == [80, 110]
    assert schedule(119) == pytest.approx(0.01)


def test_clock_takes_the_place_of_steps():
    now = [0.0]
    config = ScheduleConfig(minutes=5, warmup_steps=4, start_factor=0.0)
    schedule = Schedule(config, 10, clock=lambda: now[0])
    assert schedule(2) == pytest.approx(0.5)
    now[0] = 0.5
    assert schedule(1000) == pytest.approx(0.01 + 0.99 / 2)
    now[0] = 1.2
    assert schedule(1001) == pytest.approx(0.01)


@pytest.mark.parametrize("machine_steps", [40, 97, 1000, 100_000])
def test_warm_up_fits_into_the_minutes_of_any_machine(machine_steps):
    """3 of 60 epochs of 40 steps; slow machines come to a step or two of them in all."""
    now = [0.0]
    config = ScheduleConfig(minutes=2.5, epochs=60, warmup_epochs=3)
    schedule = Schedule(config, 40, clock=lambda: now[0])
    rates = []
    for step in range(machine_steps):
        now[0] = step / machine_steps
        rates.append(schedule(step))
    peak = rates.index(max(rates))
    assert max(rates) > 0.95
    assert peak <= 0.06 * machine_steps + 1
    assert peak <= 120, "nor longer than the epochs that are named"
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize(("epochs", "part"), [(2, 0.15), (30, 0.1), (3000, 0.05)])
def test_warm_up_by_the_clock_takes_its_part_within_bounds(epochs, part):
    config = ScheduleConfig(minutes=1, epochs=epochs, warmup_epochs=3, start_factor=0.0)
    schedule = Schedule(config, 10_000, clock=lambda: part / 2)
    assert schedule.warmup_part == pytest.approx(part)
    assert schedule(0) == pytest.approx(0.5 * schedule._decay(part / 2))


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
    budget.on_train_start(SimpleNamespace(current_epoch=2, global_step=9), None)
    assert budget.clock() == pytest.approx(0.5)
    now[0] += 15
    budget._read_clock()
    assert budget.done(0, 0) == pytest.approx(0.75)
    assert budget.seconds_left(0.75) == pytest.approx(15), "a quarter took 15 seconds"
    assert budget.most_epochs(10) == -1
    assert Budget(ScheduleConfig(steps=25), Processes()).most_epochs(10) == 3
