"""What the command prints to, the names that it writes, and images that are none."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.save import save
from swinkit.classification.model import SwinClassifier
from swinkit.cli import main
from swinkit.commands import outputs
from swinkit.commands.outputs import PictureNames
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import ModelInfo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
    info = ModelInfo(class_names=("a", "b"), preprocessing=Preprocessing.for_size((16, 16)))
    model = SwinClassifier(config, num_classes=2, info=info)
    return save(model, tmp_path_factory.mktemp("model") / "tiny.safetensors")


def shell(weights: Path, photos: Path, rest: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m swinkit.cli predict {photos} --weights {weights} {rest}"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_standard_output_closed_full_or_a_pipe(weights: Path, tmp_path: Path, make_images) -> None:
    photos = tmp_path / "photos"
    make_images(photos, 2)
    assert (done := shell(weights, photos, ">&-")).returncode == 0
    assert done.stderr == ""
    for full in ("> /dev/full", "--json - > /dev/full"):
        done = shell(weights, photos, full)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "No space left on device" in done.stderr
    done = shell(weights, photos, "--json - | head -c 3")
    assert (done.stdout, done.stderr) == ("[\n ", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_results_into_a_full_device_or_a_pipe(
    weights: Path, tmp_path: Path, make_images, capfd: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "photos", 2)
    words = ["predict", str(tmp_path / "photos"), "--weights", str(weights)]
    assert main([*words, "--csv", "/dev/full"]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1
    assert "No space left on device" in error
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        assert main([*words, "--json", str(pipe)]) == 0
        assert len(json.loads(reader.communicate()[0])) == 2
    capfd.readouterr()
    assert main([*words, "--json", "/dev/stdout"]) == 0
    assert len(json.loads(capfd.readouterr().out)) == 2
    assert Path("/dev/stdout").is_symlink()


def test_names_that_are_not_utf8(
    weights: Path, tmp_path: Path, make_images, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    (image,) = make_images(photos, 1)
    name = os.fsdecode(b"caf\xe9 \x1b[31m.png")
    image.rename(photos / name)
    flags = ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--plot", tmp_path / "out"]
    words = ["predict", photos, "--weights", weights, *flags]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "\\udce9" in printed
    assert "\x1b" not in printed
    (entry,) = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert Path(entry["source"]).is_file()
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert "caf\\udce9" in next(csv.DictReader(file))["source"]
    assert (tmp_path / "out" / name).is_file()


def test_what_is_no_image_is_skipped_and_named(
    weights: Path, tmp_path: Path, make_images, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    make_images(photos, 2)
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "folder.jpg").mkdir()
    os.mkfifo(photos / "pipe.jpg")
    sources = [str(photos), str(photos / "folder.jpg"), str(photos / "*.jpg"), "x" * 300 + ".jpg"]
    for source in sources:
        assert main(["predict", source, "--weights", str(weights)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["predict", *sources, "--weights", str(weights), "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("swinkit: skipped ") == 8
    for name in ("gone.jpg", "empty.jpg", "folder.jpg", "pipe.jpg"):
        assert name in captured.err


def test_the_table_is_cut_and_says_so(
    weights: Path,
    tmp_path: Path,
    make_images,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(outputs, "MOST_ROWS", 2)
    make_images(tmp_path / "photos", 5)
    assert main(["predict", str(tmp_path / "photos"), "--weights", str(weights)]) == 0
    assert "and 3 more images" in capsys.readouterr().out


def test_copies_are_numbered_in_one_pass() -> None:
    names = PictureNames()
    written = [names.of(name).as_posix() for name in ("a/x.jpg", "a/x.png", "a/x-2.png", "b/x.png")]
    assert written == ["a/x.png", "a/x-2.png", "a/x-2-2.png", "b/x.png"]


@pytest.mark.parametrize("name", ["runs/best", "./runs/best", "~/best/best", "runs/a/b", "best"])
def test_a_name_of_no_file_is_not_asked_of_a_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "image.png").write_bytes(b"x")
    monkeypatch.setattr("swinkit.checkpoints.opening.fetch_hub", None)
    assert main(["predict", "image.png", "--weights", name]) == 2
    line = capsys.readouterr().err
    assert "no such file" in line
    assert "owner/name" in line
