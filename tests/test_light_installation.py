"""What `pip install swinkit` without extras can do, and what it says of the rest."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# As if the packages of the extras were not there: importing them raises ModuleNotFoundError.
SESSION = """
import contextlib, io, json, sys
for name in ("lightning", "pytorch_lightning", "torchmetrics", "tensorboard", "matplotlib",
             "scipy", "supervision", "av", "pandas"):
    sys.modules[name] = None
import numpy, swinkit
from swinkit.cli import main
picture = numpy.zeros((64, 64, 3), "uint8")
for create, name in ((swinkit.create_model, "swin_nano"),
                     (swinkit.create_detector, "faster_rcnn_swin_nano"),
                     (swinkit.create_segmenter, "unet_swin_nano")):
    model = create(name, num_classes=2)
    swinkit.save(model, "tiny.safetensors")
    swinkit.load("tiny.safetensors", report=None).predict(picture)
swinkit.save(swinkit.create_model("swin_nano", class_names=("a", "b")), "tiny.safetensors")
def told(call):
    try:
        call()
    except swinkit.SwinkitError as error:
        return [0, "", str(error)]
    return [0, "", "nothing"]
result = swinkit.create_model("swin_nano").predict(picture)
assert swinkit.inspect("photos").title == "classification"
boxes = swinkit.create_detector("faster_rcnn_swin_nano").predict(picture)
said = [told(lambda: swinkit.train), told(result[0].plot), told(boxes[0].plot),
        told(lambda: swinkit.create_detector("mask_rcnn_swin_nano").predict(picture))]
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as error:
            code = main(command)
    said.append([code, out.getvalue(), error.getvalue()])
print(json.dumps(said))
"""
PYTHON = ("train in Python", "plot in Python", "boxes drawn in Python", "masks in Python")
WEIGHTS = ("--weights", "tiny.safetensors")
WORK = {
    "predict": ("predict", "photos", *WEIGHTS),
    "convert": ("convert", "tiny.safetensors", "timm.safetensors", "--to", "timm"),
    "embed": ("embed", "photos", *WEIGHTS, "--out", "features.npz"),
    "similar": ("similar", "photos/a/0.png", "--index", "features.npz"),
    "probe": ("evaluate", *WEIGHTS, "--data", "photos", "--probe", "knn"),
    "models": ("models",),
    "help": ("train", "photos", "--help"),
}
NEED = {
    "explain": ("explain", "photos/a/0.png", *WEIGHTS, "--out", "page.html"),
    "page": ("inspect", "photos", "--out", "page"),
    "plots": ("predict", "photos", *WEIGHTS, "--plot", "drawn"),
    "train": ("train", "photos", "--recipe", "small_data"),
    "evaluate": ("evaluate", *WEIGHTS, "--data", "photos"),
}
TRAINING = ("train", "evaluate")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of each command."""
    folder: Path = tmp_path_factory.mktemp("light")
    for number in range(8):
        file = folder / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 64, 3), 30 * number, np.uint8)).save(file)
    commands = [*WORK.values(), *NEED.values()]
    done = subprocess.run(
        [sys.executable, "-c", SESSION, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip((*PYTHON, *WORK, *NEED), answers, strict=True))


@pytest.mark.parametrize("name", WORK)
def test_works_without_the_extras(name: str, said: dict[str, tuple[int, str, str]]) -> None:
    code, _, error = said[name]
    assert code == 0, error


@pytest.mark.parametrize("name", [*PYTHON, *NEED])
def test_names_the_extra_in_one_line(name: str, said: dict[str, tuple[int, str, str]]) -> None:
    code, _, error = said[name]
    assert code == (0 if name in PYTHON else 2)
    assert len(error.splitlines()) == 1
    extra = "train" if name in {"train in Python", *TRAINING} else "pictures"
    assert f"which is not installed: pip install 'swinkit[{extra}]'" in error
