"""A run that was killed goes on as if nothing had happened."""

import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file

from swinkit.errors import ConfigError, DataError, SwinkitError, TrainingError
from swinkit.task.train_config import TrainConfig
from swinkit.training.recipes import read_config
from swinkit.training.recorder import Recorder
from swinkit.training.resume import _class_differences
from swinkit.training.run_folder import StateFile, read_results
from swinkit.training.train import train

QUIET = Console(quiet=True)
COMMAND = (sys.executable, "-m", "swinkit.cli", "train")
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
    "first epoch": """
def hook(self, trainer, module, outputs, batch, batch_idx):
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
# Imports once what the killed runs need. Each run is a fork: it is killed without harm to others.
STARTER = """
import json, os, signal, sys, torch
from swinkit.training.recipes import read_config
from swinkit.training.recorder import Recorder
from swinkit.training.run_folder import StateFile
from swinkit.training.train import train
torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        settings, code = json.loads(line)
        exec(code)
        train(read_config(settings))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def curve(folder: Path) -> list[list[float]]:
    return [[row[name] for name in CURVE] for row in read_results(folder / "results.csv")]


@pytest.fixture(scope="module")
def kill() -> Iterator[Callable[[TrainConfig, str], None]]:
    """Starts a run in a process of its own, which kills itself at the named place."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdin is not None
    assert starter.stdout is not None

    def start(config: TrainConfig, place: str) -> None:
        settings = config.runtime.out.parent / "settings.yaml"
        config.save(settings)
        print(json.dumps([str(settings), KILL[place]]), file=starter.stdin, flush=True)
        assert int(starter.stdout.readline()) == -signal.SIGKILL

    with starter:
        yield start
        starter.stdin.close()


@pytest.fixture
def demanding(tiny_config, tmp_path) -> TrainConfig:
    """Everything on that draws from chance or keeps a state."""
    return tiny_config(
        schedule={"epochs": 4},
        runtime={"ema": 0.9, "accumulate": 2, "out": tmp_path / "whole", "batch_size": 4},
    )


@pytest.mark.parametrize(("place", "workers"), [("mid-epoch", 1), ("epoch boundary", 0)])
def test_killed_run_goes_on_exactly(place, workers, demanding, tmp_path, kill):
    whole = train(demanding, console=QUIET)
    parts = tmp_path / "parts"
    config = replace(
        demanding,
        data=replace(demanding.data, workers=workers),
        runtime=replace(demanding.runtime, out=parts),
    )
    kill(config, place)
    assert len(read_results(parts / "results.csv")) == 2
    resumed = train(replace(config, runtime=replace(config.runtime, resume=parts)), console=QUIET)
    assert resumed.folder == parts
    assert curve(parts) == curve(whole.folder)
    for name in ("best.safetensors", "last.safetensors"):
        ours, theirs = load_file(parts / name), load_file(whole.folder / name)
        assert all(ours[key].equal(theirs[key]) for key in theirs)
    assert resumed.metrics == whole.metrics


def test_killed_while_saving_leaves_the_earlier_state(demanding, tmp_path, kill):
    config = replace(demanding, runtime=replace(demanding.runtime, out=tmp_path / "parts"))
    kill(config, "while saving the state")
    state = StateFile().load_checkpoint(tmp_path / "parts" / "resume.ckpt")
    assert state["epoch"] == 0
    resume = replace(config.runtime, resume=tmp_path / "parts")
    train(replace(config, runtime=resume), console=QUIET)
    assert [row[0] for row in curve(tmp_path / "parts")] == [1, 2, 3, 4]


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


@pytest.fixture
def finished(tiny_config) -> TrainConfig:
    """Settings that resume a run of one epoch."""
    config = tiny_config(schedule={"epochs": 1})
    folder = train(config, console=QUIET).folder
    return replace(config, runtime=replace(config.runtime, resume=folder))


def test_results_without_a_state_are_not_overwritten(finished):
    folder = finished.runtime.resume
    before = (folder / "results.csv").read_bytes()
    (folder / "resume.ckpt").unlink()
    with pytest.raises(TrainingError, match=r"results\.csv but no resume\.ckpt"):
        train(finished, console=QUIET)
    assert (folder / "results.csv").read_bytes() == before


@pytest.mark.parametrize(("size", "named"), [(0, "is empty"), (1000, "is torn"), (-1, "is torn")])
def test_a_torn_state_is_named(size, named, finished):
    state = finished.runtime.resume / "resume.ckpt"
    state.write_bytes(state.read_bytes()[:size])
    with pytest.raises(TrainingError, match=rf"resume\.ckpt.*{named}") as caught:
        train(finished, console=QUIET)
    assert "\n" not in str(caught.value)


def test_a_state_of_something_else_is_named(finished):
    import torch

    state = finished.runtime.resume / "resume.ckpt"
    content = {"loops": {}, "callbacks": {"Recorder": {}}, "state_dict": {}, "global_step": 0}
    torch.save(content, state)
    with pytest.raises(TrainingError, match="not written by this version"):
        train(finished, console=QUIET)


def test_a_longer_run_is_obeyed_and_kept(finished, images, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(images)
    changes = {"schedule.epochs": 3, "data.path": str(moved), "data.workers": 1}
    assert train(finished, settings=changes, console=QUIET).epochs == 3
    kept = read_config(finished.runtime.resume / "config.yaml")
    assert (kept.schedule.epochs, kept.data.workers) == (3, 1)
    assert kept.runtime.resume is None
    # The second epoch goes on at the rate of the new length, not at the end of the old one.
    rows = read_results(finished.runtime.resume / "results.csv")
    assert rows[1]["lr"] > rows[2]["lr"]
    assert train(finished, console=QUIET).epochs == 3


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("optimizer.lr", 0.1, "0.003"),
        ("schedule.epochs", 0.5, "whole|int"),
        ("schedule.steps", 100, "whose length is --schedule.epochs"),
        ("runtime.seed", 7, "started with 0"),
        ("runtime.out", "elsewhere", "run"),
        ("model.name", "swin_s", "swin_t"),
        ("data.val_fraction", 0.3, "0.15"),
    ],
)
def test_changes_that_make_another_run_are_refused(name, value, named, finished):
    with pytest.raises(ConfigError, match=named) as caught:
        train(finished, settings={name: value}, console=QUIET)
    assert name in str(caught.value)


def test_data_that_moved_is_asked_for(finished, images, tmp_path):
    shutil.copytree(images, tmp_path / "photos")
    train(finished, settings={"data.path": str(tmp_path / "photos")}, console=QUIET)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"say where the data is now: swinkit train DATA --resume"):
        train(finished, console=QUIET)


@pytest.mark.parametrize("unit", ["steps", "minutes"])
def test_a_run_by_steps_or_minutes_can_be_made_longer(unit, tiny_config):
    length = {"steps": 4} if unit == "steps" else {"minutes": 1e-3}
    config = tiny_config(schedule={**length, "epochs": 1})
    first = train(config, console=QUIET)
    resume = replace(config, runtime=replace(config.runtime, resume=first.folder))
    assert train(resume, console=QUIET).epochs == first.epochs
    longer = {"schedule.steps": 9} if unit == "steps" else {"schedule.minutes": 1.0}
    if unit == "minutes":
        resume_more = {"schedule.minutes": (first.seconds + 1) / 60}
        assert train(resume, settings=resume_more, console=QUIET).epochs > first.epochs
        return
    train(resume, settings=longer, console=QUIET)
    rows = read_results(first.folder / "results.csv")
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    state = StateFile().load_checkpoint(first.folder / "resume.ckpt")
    assert state["global_step"] == 9


def test_other_classes_and_counts_are_named(tiny_config, images, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(images, data)
    config = tiny_config(data={"path": data}, schedule={"epochs": 1})
    folder = train(config, console=QUIET).folder
    (data / "train" / "dark" / "0.png").unlink()
    for split in ("train", "val"):
        (data / split / "striped").rename(data / split / "squared")
    resume = replace(config, runtime=replace(config.runtime, resume=folder))
    screen = io.StringIO()
    with pytest.raises(TrainingError, match="'striped' is gone; the class 'squared' is new"):
        train(resume, console=Console(file=screen, width=300))
    lines = screen.getvalue()
    assert "train had 24 images, has 23 now" in lines
    assert "the class 'striped' is gone" in lines


def test_swapped_labels_are_named():
    assert _class_differences(["a", "b", "c"], ["a", "c", "b"]) == [
        "class 1 was 'b', is 'c' now",
        "class 2 was 'c', is 'b' now",
    ]
    assert _class_differences(["a", "b"], ["a", "b"]) == []


def test_starting_weights_are_not_needed_again(tiny_config, tmp_path, kill):
    weights = train(tiny_config(schedule={"epochs": 1}), console=QUIET).folder / "best.safetensors"
    config = tiny_config(
        schedule={"epochs": 2},
        model={"weights": str(weights), "drop_path_rate": 0.3},
        architecture=None,
        runtime={"out": tmp_path / "whole"},
    )
    whole = train(config, console=QUIET).folder
    parts = tmp_path / "parts"
    config = replace(config, runtime=replace(config.runtime, out=parts))
    kill(config, "first epoch")
    weights.unlink()
    assert not (parts / "results.csv").exists()
    train(replace(config, runtime=replace(config.runtime, resume=parts)), console=QUIET)
    assert curve(parts) == curve(whole)
    for name in ("best.safetensors", "last.safetensors"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_left_over_files_are_removed(finished):
    folder = finished.runtime.resume
    (folder / ".abc123.tmp.ckpt").write_bytes(b"half")
    (folder / "val" / ".abc.tmp").parent.mkdir(exist_ok=True)
    (folder / "val" / ".abc.tmp").write_bytes(b"half")
    train(finished, console=QUIET)
    assert not list(folder.rglob(".*"))
    assert not (folder / "run.lock").exists()


def test_two_processes_do_not_write_to_one_folder(finished):
    folder = finished.runtime.resume
    script = (
        "import sys; from swinkit.training.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked():\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(TrainingError, match=rf"another process \({holder.pid}\) trains in"):
            train(finished, console=QUIET)
    finally:
        holder.kill()
        holder.communicate()
    train(finished, console=QUIET)  # the lock died with its process


def test_a_folder_deleted_during_the_run_is_one_line(tiny_config, monkeypatch):
    config = tiny_config(runtime={"preview": True})
    original = Recorder.on_train_epoch_start

    def delete(self, trainer, module):
        original(self, trainer, module)
        if trainer.current_epoch == 1:
            shutil.rmtree(config.runtime.out)

    monkeypatch.setattr(Recorder, "on_train_epoch_start", delete)
    with pytest.raises(TrainingError, match="is gone: it was deleted or moved"):
        train(config, console=QUIET)
    assert not config.runtime.out.exists()


def test_sigterm_ends_like_an_interrupt(demanding, tmp_path):
    demanding = replace(demanding, schedule=replace(demanding.schedule, epochs=10_000))
    demanding.save(tmp_path / "settings.yaml")
    run = subprocess.Popen(
        [*COMMAND, str(demanding.data.path), "--recipe", str(tmp_path / "settings.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [run.stdout.readline() for _ in range(3)]
    assert lines[1].startswith("epoch 1/")
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM, err
    folder = demanding.runtime.out
    assert err == "swinkit: terminated\n"
    assert out.endswith(f"go on with swinkit train --resume {folder}\n")
    assert StateFile().load_checkpoint(folder / "resume.ckpt")["epoch"] >= 0
    assert not (folder / "run.lock").exists()
