"""A run that was killed goes on as if nothing had happened."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file

from swinkit.errors import SwinkitError, TrainingError
from swinkit.task.train_config import TrainConfig
from swinkit.training.recipes import read_config
from swinkit.training.run_folder import StateFile, read_results
from swinkit.training.train import train

QUIET = Console(quiet=True)
CURVE = ("epoch", "lr", "train_loss", "val_loss", "val_top1", "val_top5")

# Each kills its own process without warning at a chosen place.
KILL = {
    "mid-epoch": """
original = Recorder.on_train_batch_end
def hook(self, trainer, module, outputs, batch, batch_idx):
    original(self, trainer, module, outputs, batch, batch_idx)
    if trainer.current_epoch == 2 and batch_idx == 1:
        os.kill(os.getpid(), signal.SIGKILL)
Recorder.on_train_batch_end = hook
""",
    "epoch boundary": """
original = StateFile.save_checkpoint
def hook(self, checkpoint, path, storage_options=None):
    original(self, checkpoint, path, storage_options)
    if checkpoint["epoch"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
StateFile.save_checkpoint = hook
""",
    "while saving the state": """
original = torch.save
def hook(content, path):
    original(content, path)
    if content["epoch"] == 1:
        os.truncate(path, 1000)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = hook
""",
}
SCRIPT = """
import os, signal, sys, torch
from swinkit.training.recipes import read_config
from swinkit.training.recorder import Recorder
from swinkit.training.run_folder import StateFile
from swinkit.training.train import train
torch.set_num_threads(1)
{kill}
train(read_config(sys.argv[1]))
"""


def curve(folder: Path) -> list[list[float]]:
    return [[row[name] for name in CURVE] for row in read_results(folder / "results.csv")]


@pytest.fixture
def demanding(tiny_config, tmp_path) -> TrainConfig:
    """Everything on that draws from chance or keeps a state."""
    return tiny_config(
        schedule={"epochs": 4},
        runtime={"ema": 0.9, "accumulate": 2, "out": tmp_path / "whole", "batch_size": 4},
    )


@pytest.mark.parametrize(("place", "workers"), [("mid-epoch", 1), ("epoch boundary", 0)])
def test_killed_run_goes_on_exactly(place, workers, demanding, tmp_path):
    whole = train(demanding, console=QUIET)
    parts = tmp_path / "parts"
    config = replace(
        demanding,
        data=replace(demanding.data, workers=workers),
        runtime=replace(demanding.runtime, out=parts),
    )
    kill(config, place, tmp_path)
    assert len(read_results(parts / "results.csv")) == 2
    resumed = train(replace(config, runtime=replace(config.runtime, resume=parts)), console=QUIET)
    assert resumed.folder == parts
    assert curve(parts) == curve(whole.folder)
    for name in ("best.safetensors", "last.safetensors"):
        ours, theirs = load_file(parts / name), load_file(whole.folder / name)
        assert all(ours[key].equal(theirs[key]) for key in theirs)
    assert resumed.metrics == whole.metrics


def test_killed_while_saving_leaves_the_earlier_state(demanding, tmp_path):
    config = replace(demanding, runtime=replace(demanding.runtime, out=tmp_path / "parts"))
    kill(config, "while saving the state", tmp_path)
    state = StateFile().load_checkpoint(tmp_path / "parts" / "resume.ckpt")
    assert state["epoch"] == 0
    resume = replace(config.runtime, resume=tmp_path / "parts")
    train(replace(config, runtime=resume), console=QUIET)
    assert [row[0] for row in curve(tmp_path / "parts")] == [1, 2, 3, 4]


def kill(config: TrainConfig, place: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    config.save(settings)
    script = SCRIPT.format(kill=KILL[place])
    ended = subprocess.run(
        [sys.executable, "-c", script, str(settings)], capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def test_finished_run_only_reports_again(tiny_config, tmp_path):
    config = tiny_config(schedule={"epochs": 1})
    first = train(config, console=QUIET)
    before = (first.folder / "results.csv").read_bytes()
    resume = replace(config.runtime, resume=first.folder)
    again = train(replace(config, runtime=resume), console=QUIET)
    assert again.metrics == first.metrics
    assert (first.folder / "results.csv").read_bytes() == before


def test_full_disk_is_one_line_and_keeps_weights(tiny_config, monkeypatch):
    config = tiny_config()
    train(replace(config, schedule=replace(config.schedule, epochs=1)), console=QUIET)
    folder = config.runtime.out
    weights = (folder / "best.safetensors").read_bytes()
    state = (folder / "resume.ckpt").read_bytes()
    kept = read_config(folder / "config.yaml")
    replace(kept, schedule=config.schedule).save(folder / "config.yaml")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("swinkit.checkpoints.save.save_file", full)
    monkeypatch.setattr("swinkit.training.run_folder.torch.save", full)
    resume = replace(config, runtime=replace(config.runtime, resume=folder))
    with pytest.raises(SwinkitError, match="No space left on device") as caught:
        train(resume, console=QUIET)
    assert "\n" not in str(caught.value)
    assert (folder / "best.safetensors").read_bytes() == weights
    assert (folder / "resume.ckpt").read_bytes() == state
    assert not list(folder.glob(".*tmp*"))


def test_state_with_code_inside_is_refused(tiny_config, tmp_path):
    import torch

    config = tiny_config(schedule={"epochs": 1})
    folder = train(config, console=QUIET).folder
    torch.save({"loops": {}, "callbacks": {}, "x": print}, folder / "resume.ckpt")
    resume = replace(config, runtime=replace(config.runtime, resume=folder))
    with pytest.raises(TrainingError, match="cannot be read safely"):
        train(resume, console=QUIET)


def test_other_batch_size_than_before_is_refused(tiny_config):
    config = tiny_config(schedule={"epochs": 1})
    folder = train(config, console=QUIET).folder
    kept = read_config(folder / "config.yaml")
    replace(kept, runtime=replace(kept.runtime, batch_size=4)).save(folder / "config.yaml")
    resume = replace(config, runtime=replace(config.runtime, resume=folder))
    with pytest.raises(TrainingError, match="8 images per step"):
        train(resume, console=QUIET)


def test_nothing_to_resume(tiny_config, tmp_path):
    with pytest.raises(TrainingError, match=r"no config\.yaml"):
        train(tiny_config(runtime={"resume": tmp_path / "nothing"}), console=QUIET)
