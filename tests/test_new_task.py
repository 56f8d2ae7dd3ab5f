"""A new task is one folder and one line: `toy_task` beside this file, and the line in `SESSION`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent


SESSION = """
import contextlib, io, json, sys
import swinkit
from swinkit import registry
registry.TASKS["toy"] = "toy_task"
from swinkit.cli import main
from toy_task.model import TINY, SwinToy
swinkit.save(SwinToy(TINY), "toy.safetensors")
said = [str(swinkit.load("toy.safetensors", report=None).preprocessing.size_hw)]
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as error:
            code = main(command)
    said.append([code, out.getvalue(), error.getvalue()])
print(json.dumps(said))
"""
WEIGHTS = ("--weights", "toy.safetensors")
COMMANDS = {
    "help": ("predict", "--help"),
    "predict": ("predict", "photos", *WEIGHTS, "--json", "-"),
    "doubled": ("predict", "photos", *WEIGHTS, "--json", "-", "--gain", "2"),
    "option of others": ("predict", "photos", *WEIGHTS, "--tile", "64"),
    "evaluate": ("evaluate", *WEIGHTS, "--data", "photos"),
    "inspect": ("inspect", "photos"),
    "models": ("models",),
    "train": ("train", "photos", "--task", "toy"),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of each command, in a process where the toy is a task."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "photos").mkdir()
    for value in (20, 200):
        pixels = np.full((40, 40, 3), value, np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{value}.png")
    (folder / "photos" / "levels.txt").write_text("20.png 0.1\n200.png 0.8\n")
    done = subprocess.run(
        [sys.executable, "-c", SESSION, json.dumps(list(COMMANDS.values()))],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    size, *answers = json.loads(done.stdout)
    assert size == "(32, 32)"
    return dict(zip(COMMANDS, answers, strict=True))


def test_predict_has_its_options_and_formats(said: dict[str, tuple[int, str, str]]) -> None:
    assert "--gain FLOAT" in said["help"][1]
    once, twice = (
        [entry["level"] for entry in json.loads(said[name][1])] for name in ("predict", "doubled")
    )
    assert twice == pytest.approx([2 * level for level in once])
    code, _, error = said["option of others"]
    assert code == 2
    assert "--tile is an option of a detector, but toy.safetensors holds a toy" in error


def test_the_other_commands_ask_it(said: dict[str, tuple[int, str, str]]) -> None:
    assert "all levels are right" in said["evaluate"][1]
    assert "one level was left out" in said["evaluate"][2]
    assert "Toys: swinkit.create_toy(NAME)" in said["models"][1]
    assert "photos: levels" in said["inspect"][1]
    assert said["train"][0] == 2
    assert said["train"][2] == "swinkit: error: the toy is born trained\n"
