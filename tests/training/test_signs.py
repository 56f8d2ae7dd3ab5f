"""What a run says of itself: lines within an epoch, warnings, and numbers for trackers."""

import csv
import importlib.util
import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from swinkit.errors import ConfigError
from swinkit.task.train_config import ScheduleConfig
from swinkit.training import step_log
from swinkit.training.processes import Processes
from swinkit.training.schedule import Budget
from swinkit.training.train import train

ONE_MINUTE = ScheduleConfig(minutes=1.0)


@pytest.fixture
def talkative(monkeypatch):
    """A line after each batch, numbers after each second step."""
    monkeypatch.setattr(step_log, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(step_log, "TRACK_STEPS", 2)


def said(config, *, terminal=False):
    screen = io.StringIO()
    result = train(config, console=Console(file=screen, width=300, force_terminal=terminal))
    return screen.getvalue(), (result.folder / "log.txt").read_text(), result


def test_without_a_terminal_lines_come_within_an_epoch_and_stand_in_the_log(talkative, tiny_config):
    screen, log, _ = said(tiny_config(schedule={"epochs": 1, "warmup_epochs": 0}))
    for text in (screen, log):
        lines = [line for line in text.splitlines() if "batch 2/3" in line]
        assert len(lines) == 1
        assert "epoch 1/1  batch 2/3  loss " in lines[0]
        assert "lr " in lines[0]
        assert "images/s  left " in lines[0]


def test_on_a_terminal_the_bar_says_it_and_the_log_still_has_the_lines(talkative, tiny_config):
    screen, log, _ = said(tiny_config(schedule={"epochs": 1}), terminal=True)
    assert "batch 2/3" not in screen
    assert "batch 2/3" in log


def test_lines_are_not_more_than_a_reader_wants(tiny_config):
    screen, _, _ = said(tiny_config(schedule={"epochs": 1}))
    assert "batch " not in screen, "the epoch was over sooner"


@pytest.mark.parametrize(("seconds_a_batch", "warns"), [(0.5, False), (3.0, True)])
def test_an_epoch_longer_than_the_minutes_is_foreseen(seconds_a_batch, warns, monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(step_log.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(step_log, "LINE_SECONDS", 1e9)
    task = SimpleNamespace(images_in=len)
    log = step_log.StepLog(task, Budget(ONE_MINUTE, Processes()), ONE_MINUTE)
    trainer = SimpleNamespace(
        is_global_zero=True, world_size=1, global_step=0, num_training_batches=100
    )
    outputs = {"loss": torch.tensor(1.0)}
    now[0] = 20.0  # the first batch waits for much that is made once
    for batch in range(8):
        log.on_train_batch_end(trainer, None, outputs, [0, 0], batch)
        assert caplog.text.count("an epoch takes about") == (warns and batch == 7)
        now[0] += seconds_a_batch
    if warns:
        assert "about 5m00s, longer than the 1m00s of schedule.minutes" in caplog.text
        assert "ends after 20% of it" in caplog.text


def test_tensorboard_has_numbers_by_step_and_pictures(talkative, tiny_config):
    config = tiny_config(schedule={"epochs": 2}, runtime={"preview": True})
    _, _, result = said(config)
    events = EventAccumulator(str(result.folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"batch_preview", "curves", "val/confusion_matrix"} <= set(tags["images"])
    curves = events.Images("curves")[0]
    assert max(curves.width, curves.height) == 1024  # however large the file is
    assert [event.step for event in events.Scalars("step/loss")] == [2, 4, 6]
    assert [event.step for event in events.Scalars("val_top1")] == [3, 6]
    assert events.Scalars("best/val_top1")[0].value == pytest.approx(result.metrics["val_top1"])


def test_numbers_by_step_as_csv(talkative, tiny_config):
    _, _, result = said(tiny_config(schedule={"epochs": 1}, runtime={"logger": ("csv",)}))
    (file,) = (result.folder / "csv").rglob("metrics.csv")
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["step"] for row in rows if row["step/loss"]] == ["2"]
    assert not (result.folder / "tensorboard").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_extra_is_one_line_with_the_command(name, tiny_config, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda package: None if package == name else find(package)
    )
    config = tiny_config(runtime={"logger": name})
    with pytest.raises(ConfigError, match=rf"pip install 'swinkit\[{name}\]'"):
        train(config, console=Console(quiet=True))
    assert not config.runtime.out.exists()
