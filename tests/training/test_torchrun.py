"""Two processes under torchrun, stopped and resumed, learn what one learns with the whole batch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from swinkit.classification.train_config import AugmentationConfig
from swinkit.training.run_folder import StateFile, read_results
from swinkit.training.train import train

QUIET = Console(quiet=True)
# What `swinkit train` runs; in the second epoch its launcher is asked to stop.
STOPPED = """
import os, signal, sys, time
from swinkit.cli import main
from swinkit.training.recorder import Recorder
original = Recorder.on_train_batch_end
def hook(self, trainer, *rest):
    original(self, trainer, *rest)
    if trainer.current_epoch == 1 and trainer.global_rank == 0:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
Recorder.on_train_batch_end = hook
sys.exit(main(sys.argv[1:]))
"""


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    return subprocess.run(
        [*launcher, *map(str, words)], capture_output=True, text=True, check=False, timeout=240
    )


def test_a_stopped_run_of_two_processes_ends_as_one_of_one(tiny_config, tmp_path: Path) -> None:
    plain = {"augmentation": AugmentationConfig.off(), "model": {"drop_path_rate": 0.0}}
    two = tiny_config(**plain, runtime={"batch_size": 6, "out": tmp_path / "two", "ema": 0.9})
    one = replace(two, runtime=replace(two.runtime, batch_size=12, out=tmp_path / "one"))
    two.save(tmp_path / "settings.yaml")
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    recipe = ["--recipe", tmp_path / "settings.yaml"]
    stopped = torchrun(script, "train", two.data.path, *recipe, "--runtime.threads", 1)
    assert stopped.returncode != 0
    assert len(read_results(tmp_path / "two/results.csv")) == 1, stopped.stderr
    assert StateFile().load_checkpoint(tmp_path / "two/resume.ckpt")["epoch"] == 0
    assert not (tmp_path / "two/run.lock").exists()
    assert "swinkit: terminated" in stopped.stderr
    assert "swinkit/training" not in stopped.stderr, "a stack trace"
    words = "go on with torchrun --nproc-per-node 2 -m swinkit train --resume"
    assert stopped.stdout.endswith(f"{words} {two.runtime.out}\n")

    resumed = torchrun("-m", "swinkit", "train", "--runtime.resume", tmp_path / "two")
    assert resumed.returncode == 0, resumed.stderr
    assert not (tmp_path / "two-2").exists(), "the processes agree on one folder"
    train(one, console=QUIET)
    for name, value in load_file(tmp_path / "one/last.safetensors").items():
        own = load_file(tmp_path / "two/last.safetensors")[name]
        torch.testing.assert_close(own, value, rtol=0, atol=1e-5)
    for ours, theirs in zip(
        read_results(tmp_path / "two/results.csv"),
        read_results(tmp_path / "one/results.csv"),
        strict=True,
    ):
        # Nine validation images do not divide by two: none may count twice.
        for column in ("epoch", "train_loss", "val_loss", "val_top1", "val_top5", "lr"):
            assert ours[column] == pytest.approx(theirs[column], abs=1e-5)
