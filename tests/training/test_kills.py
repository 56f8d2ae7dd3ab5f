"""Real runs, killed at random moments and resumed, end as an uninterrupted one.

Few kills in every test run; `make kills` takes a hundred of them.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from swinkit.cli import main
from swinkit.training.run_folder import read_results

KILLS = int(os.environ.get("SWINKIT_KILLS", "2"))
EPOCHS = int(os.environ.get("SWINKIT_KILL_EPOCHS", "4"))
SETTINGS = """
task: classification
architecture:
  {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 4, norm_stages: [1],
   drop_path_rate: 0.2}
model: {image_size: 32}
optimizer: {lr: 3.0e-3}
data: {workers: 1}
schedule: {warmup_epochs: 1}
runtime: {batch_size: 4, device: cpu, threads: 1, ema: 0.9, preview: false}
"""
SAME = ("epoch", "lr", "train_loss", "val_loss", "val_top1", "val_top5")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "swinkit.cli", "train", *map(str, arguments)]


def curve(folder: Path) -> list[list[float]]:
    return [[row[name] for name in SAME] for row in read_results(folder / "results.csv")]


def kill_in_between(start: list[str], seconds: Callable[[], float]) -> bool:
    """Kill the run some time after it has begun to write; False where it ended before."""
    run = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        run.stdout.readline()  # what is trained on what: from here on it trains
        run.wait(timeout=seconds())
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
    _, err = run.communicate()
    assert run.returncode in (0, -signal.SIGKILL), err
    return run.returncode != 0


def test_killed_runs_end_as_an_uninterrupted_one(images: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    new = ["--recipe", tmp_path / "settings.yaml", "--schedule.epochs", EPOCHS]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    started = time.perf_counter()
    assert main(["train", *map(str, (images, *new, "--runtime.out", whole))]) == 0
    trained = sum(row["seconds"] for row in read_results(whole / "results.csv"))
    print(f"uninterrupted: {time.perf_counter() - started:.0f} s, {trained:.1f} s of training")
    random_moments = random.Random(0)
    start, kills, lives = command(images, *new, "--runtime.out", parts), 0, 0
    while kills < KILLS:
        lives += 1
        # Long enough on average that all kills together come to about the whole run.
        kills += kill_in_between(start, lambda: random_moments.expovariate(KILLS / trained))
        if (parts / "summary.json").exists():
            break
        start = command("--runtime.resume", parts)
    assert main(["train", "--runtime.resume", str(parts)]) == 0
    print(f"{kills} kills in {lives} lives")
    assert curve(parts) == curve(whole)
    for name in ("best.safetensors", "last.safetensors"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    assert not [file for file in parts.rglob("*") if ".tmp" in file.name or file.name[0] == "."]
    assert not (parts / "run.lock").exists()
    assert not list(tmp_path.glob("parts-*"))
