"""The command as a person meets it: help, answers, and mistakes that cost one line."""

import csv
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swinkit import __version__
from swinkit.backbones.config import SwinConfig
from swinkit.backbones.variants import VARIANTS
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.classification.model import SwinClassifier
from swinkit.cli import _parse, main
from swinkit.detection.variants import DETECTORS
from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Preprocessing
from swinkit.segmentation.variants import SEGMENTERS
from swinkit.task.model import ModelInfo
from swinkit.training.recipes import load_recipe

COMMANDS = ("train", "evaluate", "predict", "convert", "models", "embed", "similar", "push")
NAMES = ("cat", "dog", "heron")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
    info = ModelInfo(class_names=NAMES, preprocessing=Preprocessing.for_size((16, 16)))
    model = SwinClassifier(config, num_classes=3, info=info)
    return save(model, tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for index, name in enumerate(NAMES * 2):
        target = folder / name / f"{index}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(target)
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "swinkit.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail; returns its one line."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert code == 2
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("swinkit: error: ")
    return lines[0]


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from swinkit.cli import main; "
        f"code = main({[*arguments, '--help']!r}); "
        "sys.exit(code or ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: swinkit" in done.stdout


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    assert "fly" in capsys.readouterr().err


def test_predict_prints_and_writes(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    outputs = [
        *("--json", str(out / "answers.json"), "--csv", str(out / "answers.csv")),
        *("--plot", str(out / "pictures"), "--top-k", "2"),
    ]
    assert main(["predict", str(photos), "--weights", str(weights), *outputs]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert any(name in printed.out for name in NAMES)

    answers = json.loads((out / "answers.json").read_text())
    assert len(answers) == 6
    model = load(weights, report=None)
    assert isinstance(model, SwinClassifier)
    for answer, expected in zip(answers, model.predict(photos), strict=True):
        assert answer["source"] == expected.source
        assert answer["label"] == expected.label
        assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert len(answer["classes"]) == 2
    with (out / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0]["label"] == answers[0]["label"]
    drawn = (out / "pictures").rglob("*.png")
    assert sorted(f"{path.parent.name}{path.stem}" for path in drawn) == sorted(
        f"{name}{number}" for number, name in enumerate(NAMES * 2)
    )


def test_predict_prints_json_alone(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(photos / "cat" / "0.png")
    assert main(["predict", image, "--weights", str(weights), "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["source"] == image
    assert sum(entry["probability"] for entry in answer["classes"]) == pytest.approx(1, abs=1e-4)


def test_pictures_of_the_same_name_do_not_replace_each_other(
    weights: Path, photos: Path, tmp_path: Path
) -> None:
    image = str(photos / "cat" / "0.png")
    out = tmp_path / "pictures"
    assert main(["predict", image, image, "--weights", str(weights), "--plot", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0-2.png", "0.png"]


def test_predict_skips_bad_images_when_asked(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = photos / "dog" / "torn.png"
    bad.write_bytes((photos / "cat" / "0.png").read_bytes()[:100])
    line = refused(capsys, "predict", photos, "--weights", weights)
    assert str(bad) in line
    command = ["predict", str(photos), "--weights", str(weights), "--skip-bad", "--json", "-"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 6
    (said,) = captured.err.splitlines()
    assert said.startswith(f"swinkit: skipped {bad}: cannot be decoded (")


def test_evaluate_prints_and_writes(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    command = ["evaluate", "--weights", str(weights), "--data", str(photos), "--out", str(out)]
    assert main(command) == 0
    assert "6 images" in capsys.readouterr().out
    model = load(weights, report=None)
    assert isinstance(model, SwinClassifier)
    right = sum(Path(result.source).parent.name == result.label for result in model.predict(photos))
    report = json.loads((out / "report.json").read_text())
    assert report["top1"] == pytest.approx(right / 6)
    assert (out / "confusion_matrix.png").is_file()


def test_train_then_predict(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "model: {image_size: 16}\n"
        "architecture: {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 2,"
        " norm_stages: [1]}\n"
        "data: {workers: 0, val_fraction: 0.4}\n"
        "runtime: {batch_size: 3, device: cpu}\n"
        "schedule: {epochs: 9}\n"
    )
    out = tmp_path / "run"
    flags = ["--schedule.epochs", "1", "--schedule.warmup-epochs", "0", "--runtime.out", str(out)]
    assert main(["train", str(photos), "--recipe", str(recipe), *flags]) == 0
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert "Traceback" not in printed.err
    assert (out / "config.yaml").read_text().count("epochs: 1\n") == 1
    best = str(out / "best.safetensors")
    assert main(["predict", str(photos / "dog"), "--weights", best, "--json", "-"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert {entry["label"] for entry in answers[0]["classes"]} == set(NAMES)
    assert main(["train", "--runtime.resume", str(out)]) == 0


def test_models_lists_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*VARIANTS, *DETECTORS, *SEGMENTERS))
    assert "cascade_mask_rcnn_swin_base_patch4_window7.pth" in shown
    assert "81.2" in shown
    assert "swin_tiny_patch4_window7_224.pth" in shown
    assert main(["models", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(listed) == [*VARIANTS, *DETECTORS, *SEGMENTERS]
    assert listed["swin_t"]["params"] == "28M"
    assert listed["swin_t"]["flops"] == "4.5G"
    assert all(entry["license"] for item in listed.values() for entry in item["weights"])


@pytest.mark.parametrize("target", ["timm", "microsoft"])
def test_convert_there_and_back_is_exact(
    weights: Path, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there, back = tmp_path / "there.safetensors", tmp_path / "back.safetensors"
    assert main(["convert", str(weights), str(there), "--to", target]) == 0
    assert main(["convert", str(there), str(back), "--to", "native"]) == 0
    assert f"{target} weights" in capsys.readouterr().out
    first, last = load(weights, report=None), load(back, report=None)
    assert first.config == last.config
    for name, value in first.state_dict().items():
        assert torch.equal(value, last.state_dict()[name]), name


class TestMistakes:
    def test_missing_image(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "nowhere.jpg" in refused(capsys, "predict", "nowhere.jpg", "--weights", weights)

    def test_no_image(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no images" in refused(capsys, "predict", "--weights", weights)

    def test_empty_folder(
        self, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert str(tmp_path) in refused(capsys, "predict", tmp_path, "--weights", weights)
        assert str(tmp_path) in refused(
            capsys, "evaluate", "--weights", weights, "--data", tmp_path
        )
        assert str(tmp_path) in refused(capsys, "train", tmp_path, "--recipe", "small_data")

    def test_one_class(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name in NAMES[1:]:
            for image in (photos / name).iterdir():
                image.unlink()
            (photos / name).rmdir()
        assert "class" in refused(capsys, "train", photos, "--recipe", "small_data")

    def test_no_data(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "name their folder" in refused(capsys, "train")

    def test_unknown_recipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        line = refused(capsys, "train", "photos", "--recipe", "secret")
        assert "secret" in line
        assert "small_data" in line

    def test_impossible_setting(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "epochs" in refused(capsys, "train", "photos", "--schedule.epochs", "0")

    def test_text_for_an_image(
        self, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bad = tmp_path / "note.jpg"
        bad.write_text("no picture")
        assert str(bad) in refused(capsys, "predict", bad, "--weights", weights)

    def test_missing_weights(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "gone.pth" in refused(capsys, "predict", photos, "--weights", "gone.pth")

    def test_weights_of_another_family(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "resnet.pth"
        torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7), "fc.bias": torch.zeros(10)}, other)
        assert str(other) in refused(capsys, "predict", photos, "--weights", other)

    def test_truncated_weights(
        self, weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        torn = tmp_path / "torn.safetensors"
        torn.write_bytes(weights.read_bytes()[:-500])
        assert str(torn) in refused(capsys, "predict", photos, "--weights", torn)

    def test_pickle_with_code_does_not_run(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        trap = tmp_path / "trap.pth"
        victim = tmp_path / "written-by-the-trap"

        class Trap:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(victim),)

        trap.write_bytes(pickle.dumps({"model": Trap()}))
        assert str(trap) in refused(capsys, "predict", photos, "--weights", trap)
        assert not victim.exists()

    def test_weights_with_nan(
        self, weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = load(weights, report=None)
        assert isinstance(model, SwinClassifier)
        torch.nn.init.constant_(model.head.fc.bias, float("nan"))
        bad = save(model, tmp_path / "nan.safetensors")
        assert "NaN" in refused(capsys, "predict", photos, "--weights", bad)

    def test_backbone_where_a_classifier_is_needed(
        self, weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare = save(load(weights, task="backbone", report=None), tmp_path / "bare.safetensors")
        assert "without a classifier" in refused(capsys, "predict", photos, "--weights", bare)

    def test_a_target_that_cannot_be(
        self, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out.xyz"
        assert str(out) in refused(capsys, "convert", weights, out, "--to", "timm")
        assert not out.exists()

    def test_top_k_of_zero(
        self, weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "top-k" in refused(capsys, "predict", photos, "--weights", weights, "--top-k", 0)

    def test_a_real_process_says_one_line_and_fails(self, weights: Path) -> None:
        done = run("predict", "nowhere.jpg", "--weights", str(weights))
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swinkit.commands.models.Models.run", interrupted)
    assert main(["models"]) == 130
    assert capsys.readouterr().err.splitlines() == ["swinkit: interrupted"]


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m swinkit.cli models --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert len(done.stdout) == 10


def test_flags_override_the_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from swinkit.training.recipes import load_recipe

    seen = []
    monkeypatch.setattr("swinkit.commands.train.Train.run", lambda self: seen.append(self))
    flags = ["--recipe", "small_data", "--schedule.epochs", "7", "--model.image-size", "48"]
    assert main(["train", "photos", *flags]) == 0
    (command,) = seen
    recipe = load_recipe("small_data", "photos")
    assert str(command.data) == "photos"
    assert command.config.schedule.epochs == 7
    assert command.config.model.image_size == 48
    assert command.config.optimizer == recipe.optimizer
    assert command.config.augmentation == recipe.augmentation

    own = tmp_path / "own.yaml"
    own.write_text("architecture:\n  embed_dim: 24\nschedule:\n  epochs: 3\n")
    assert main(["train", "photos", f"--recipe={own}", "--runtime.seed", "5"]) == 0
    config = seen[1].config
    assert (config.architecture.embed_dim, config.schedule.epochs) == (24, 3)
    assert config.runtime.seed == 5


def test_errors_stay_on_one_line() -> None:
    assert str(ConfigError("two\nlines  and   spaces")) == "two lines and spaces"


@pytest.mark.parametrize("arguments", [["train", ""], ["train", "x", "--runtime.out="]])
def test_an_empty_value_is_refused(arguments, capsys):
    assert main(arguments) == 2
    assert "give a value" in capsys.readouterr().err


def test_the_version_is_told_by_either_name_of_the_command() -> None:
    for start in (["swinkit"], ["swinkit.cli"]):
        done = subprocess.run(
            [sys.executable, "-m", *start, "--version"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"swinkit {__version__}\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--steps", "3"], (3, None)),
        (["--schedule.steps=3"], (3, None)),
        (["--minutes", "2"], (None, 2.0)),
        (["--epochs", "2"], (None, None)),
    ],
)
def test_a_named_length_takes_the_place_of_the_recipes(
    given: list[str], expected: tuple[int | None, float | None]
) -> None:
    words = ["--recipe", "small_detection", *given]
    command = _parse("train", words)
    assert (command.config.schedule.steps, command.config.schedule.minutes) == expected


def test_two_named_lengths_are_refused(capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    assert "epochs and minutes all say how long; give one of them" in refused(
        capsys, "train", photos, "--epochs", 3, "--schedule.minutes", 2
    )


def test_short_options_mean_the_long_ones() -> None:
    short = "--batch-size 3 --lr 0.5 --image-size 64 --workers 7 --device cpu --out x --name swin_s"
    config = _parse("train", f"{short} --weights None".split()).config
    assert (config.runtime.batch_size, config.optimizer.lr, config.data.workers) == (3, 0.5, 7)
    assert (config.model.image_size, config.model.name, config.model.weights) == (
        64,
        "swin_s",
        None,
    )
    assert (config.runtime.device, config.runtime.out) == ("cpu", Path("x"))


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_the_page_of_train_is_short_and_shows_the_recipe(
    task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--task", task, "--help"]) == 0
    page = capsys.readouterr().out
    assert len(page.splitlines()) <= 120
    recipe = load_recipe(None, "nowhere", task=task)
    assert f"--epochs {recipe.schedule.epochs} " in page
    assert f"--optimizer.layer-decay {recipe.optimizer.layer_decay:.4g} " in page
    assert page.index("--epochs") < page.index("--data.kind")
    assert main(["train", "--task", task, "--help-all"]) == 0
    assert "--schedule.warmup-epochs" in capsys.readouterr().out


def test_data_that_is_not_there_is_refused_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from swinkit.cli import main; "
        "code = main(['train', 'nowhere']); sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "swinkit: error: nowhere: no such file or folder; check the path\n"
