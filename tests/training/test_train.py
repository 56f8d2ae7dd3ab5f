import io
import json
import logging
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.classification.train import ClassificationTraining
from swinkit.classification.train_config import AugmentationConfig
from swinkit.errors import CheckpointError, ConfigError, DataError, SwinkitError, TrainingError
from swinkit.training.module import build_model
from swinkit.training.recipes import read_config
from swinkit.training.run_folder import RunFolder, read_results
from swinkit.training.train import train

QUIET = Console(quiet=True)


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / f"{name}.safetensors")


def test_run_folder_holds_everything_and_the_model_predicts(tiny_config, images):
    screen = io.StringIO()
    config = tiny_config(runtime={"preview": True}, schedule={"epochs": 2})
    result = train(config, console=Console(file=screen, width=200))
    names = {path.name for path in result.folder.iterdir()}
    assert names >= {
        *("config.yaml", "results.csv", "log.txt", "summary.json", "resume.ckpt"),
        *("curves.png", "batch_preview.png", "best.safetensors", "last.safetensors"),
        *("tensorboard", "val"),
    }
    for picture in ("curves.png", "batch_preview.png", "val/confusion_matrix.png"):
        with Image.open(result.folder / picture) as opened:
            assert np.asarray(opened.convert("L")).std() > 5
    rows = read_results(result.folder / "results.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    model = load(result.folder / "best.safetensors", report=None)
    assert model.class_names == ("bright", "dark", "striped")
    assert model.info.metrics["val_top1"] == pytest.approx(result.metrics["val_top1"])
    assert model.info.preprocessing.size_hw == (32, 32)
    assert len(model.predict(images / "val")) == 9
    assert read_config(result.folder / "config.yaml").schedule.epochs == 2
    summary = json.loads((result.folder / "summary.json").read_text())
    assert summary["best_epoch"] == result.best_epoch
    lines = screen.getvalue().splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert len(lines) == 6, "only what a person needs"
    log = (result.folder / "log.txt").read_text()
    assert all(line in log for line in lines), "a run without a terminal can be followed"


def test_second_run_gets_its_own_folder(tiny_config):
    config = tiny_config(schedule={"epochs": 1})
    assert train(config, console=QUIET).folder.name == "run"
    assert train(config, console=QUIET).folder.name == "run-2"
    assert RunFolder.create(config.runtime.out).path.name == "run-3"


def test_same_seed_same_run_other_seed_other_run(tiny_config):
    config = tiny_config(schedule={"epochs": 1})
    first, again = train(config, console=QUIET), train(config, console=QUIET)
    other = train(replace(config, runtime=replace(config.runtime, seed=1)), console=QUIET)
    assert all(
        value.equal(weights(again.folder)[name]) for name, value in weights(first.folder).items()
    )
    assert not weights(first.folder)["head.fc.weight"].equal(
        weights(other.folder)["head.fc.weight"]
    )


def test_accumulation_equals_the_whole_batch(tiny_config, tmp_path):
    plain = {
        "augmentation": AugmentationConfig.off(),
        "model": {"drop_path_rate": 0.0},
        "class_weights": "balanced",
    }
    whole = tiny_config(**plain, runtime={"batch_size": 12})
    parts = tiny_config(**plain, runtime={"batch_size": 6, "accumulate": 2})
    one, two = train(whole, console=QUIET), train(parts, console=QUIET)
    for name, value in weights(one.folder).items():
        torch.testing.assert_close(weights(two.folder)[name], value, rtol=1e-4, atol=1e-5)


def test_frozen_stages_do_not_change_and_others_do(tiny_config):
    config = tiny_config(schedule={"epochs": 1}, model={"frozen_stages": 1})
    before = build_model(ClassificationTraining(config)).state_dict()
    after = weights(train(config, console=QUIET).folder)
    for name, value in before.items():
        frozen = name.startswith(("backbone.patch_embed.", "backbone.stages.0."))
        assert value.equal(after[name]) == frozen, name


def test_starting_from_own_weights_with_other_classes_and_size(tiny_config, tmp_path, images):
    first = train(tiny_config(schedule={"epochs": 1}), console=QUIET)
    data = tmp_path / "two_classes"
    for split in ("train", "val"):
        for name in ("bright", "dark"):
            shutil.copytree(images / split / name, data / split / name)
    config = tiny_config(
        data={"path": data},
        model={
            "weights": str(first.folder / "best.safetensors"),
            "image_size": 48,
            "drop_path_rate": 0.3,
        },
        architecture=None,
        schedule={"epochs": 1},
    )
    model = load(train(config, console=QUIET).folder / "best.safetensors", report=None)
    assert model.class_names == ("bright", "dark")
    assert model.info.preprocessing.size_hw == (48, 48)
    assert model.config.drop_path_rate == 0.3
    assert model.info.provenance["started_from"].endswith("best.safetensors")


def test_early_stop_ends_after_patience_and_resume_does_not_go_on(tiny_config):
    config = tiny_config(
        schedule={"epochs": 30, "early_stop": 2, "warmup_epochs": 0},
        optimizer={"lr": 1e-12},
    )
    result = train(config, console=QUIET)
    assert result.epochs == result.best_epoch + 2 < 30
    again = train(
        replace(config, runtime=replace(config.runtime, resume=result.folder)), console=QUIET
    )
    assert again.epochs == result.epochs


def test_learns_to_tell_the_classes_apart(tiny_config):
    config = tiny_config(
        augmentation=AugmentationConfig.off(),
        schedule={"epochs": 12},
        optimizer={"lr": 1e-2},
        runtime={"precision": "bf16"},
    )
    assert train(config, console=QUIET).metrics["val_top1"] >= 0.85


def test_a_run_in_bfloat16_is_validated_as_its_weights_are_measured(tiny_config):
    result = train(tiny_config(runtime={"precision": "bf16"}), console=QUIET)
    rows = read_results(result.folder / "results.csv")
    best = rows[result.best_epoch - 1]["val_loss"]
    assert result.metrics["val_loss"] == pytest.approx(best, rel=1e-5)


def test_automatic_batch_size_is_kept_in_the_settings(tiny_config):
    config = tiny_config(runtime={"batch_size": "auto"}, schedule={"epochs": 1})
    result = train(config, console=QUIET)
    assert read_config(result.folder / "config.yaml").runtime.batch_size == 2


@pytest.mark.parametrize(("multiplies", "precision"), [(True, "bf16"), (False, "fp32")])
def test_automatic_precision_is_what_the_device_multiplies_in_and_is_kept(
    tiny_config, monkeypatch, multiplies, precision
):
    monkeypatch.setattr("swinkit.training.processes.multiplies_bfloat16", lambda _: multiplies)
    config = tiny_config(runtime={"precision": "auto"}, schedule={"epochs": 1})
    result = train(config, console=QUIET)
    assert read_config(result.folder / "config.yaml").runtime.precision == precision
    assert (" in bf16" in (result.folder / "log.txt").read_text()) == multiplies


def test_no_gpu_wanted_but_absent(tiny_config, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no GPU"):
        train(tiny_config(runtime={"device": "cuda"}), console=QUIET)


def test_diverging_run_says_so_in_one_line(tiny_config):
    config = tiny_config(optimizer={"lr": 1e30, "clip_norm": None}, schedule={"warmup_epochs": 0})
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) in epoch 1.*lower optimizer\.lr"):
        train(config, console=QUIET)


def test_nan_starting_weights_are_refused(tiny_config, tmp_path):
    model = build_model(ClassificationTraining(tiny_config()))
    with torch.no_grad():
        model.head.fc.weight[0, 0] = float("nan")
    save(model, tmp_path / "nan.safetensors")
    config = tiny_config(model={"weights": str(tmp_path / "nan.safetensors")})
    with pytest.raises(CheckpointError):
        train(config, console=QUIET)


@pytest.mark.parametrize("case", ["missing", "empty", "one class", "weights", "name"])
def test_bad_input_is_one_line_and_leaves_no_folder(case, tiny_config, tmp_path, images):
    kind: type[SwinkitError] = DataError
    config = tiny_config()
    if case == "missing":
        config = tiny_config(data={"path": tmp_path / "nowhere"})
    elif case == "empty":
        (tmp_path / "empty").mkdir()
        config = tiny_config(data={"path": tmp_path / "empty"})
    elif case == "one class":
        for split in ("train", "val"):
            shutil.copytree(images / split / "dark", tmp_path / "single" / split / "dark")
        config = tiny_config(data={"path": tmp_path / "single"})
    elif case == "weights":
        kind = CheckpointError
        config = tiny_config(model={"weights": str(tmp_path / "none.safetensors")})
    else:
        kind = ConfigError
        config = tiny_config(model={"name": "swin_q"}, architecture=None)
    with pytest.raises(kind) as caught:
        train(config, console=QUIET)
    assert "\n" not in str(caught.value)
    assert not config.runtime.out.exists()


def test_bad_images_are_named_and_left_out(tiny_config, tmp_path, images):
    data = tmp_path / "damaged"
    shutil.copytree(images, data)
    (data / "train" / "dark" / "broken.png").write_bytes(b"no picture")
    screen = io.StringIO()
    config = tiny_config(data={"path": data}, schedule={"epochs": 1})
    result = train(config, console=Console(file=screen, width=300))
    assert "broken.png" in screen.getvalue()
    assert "24 train" in screen.getvalue()
    assert "broken.png" in (result.folder / "log.txt").read_text()
    with pytest.raises(DataError, match=r"broken\.png"):
        train(replace(config, data=replace(config.data, on_bad_image="refuse")), console=QUIET)


def test_leaves_logging_and_threads_as_they_were(tiny_config):
    root = logging.getLogger("swinkit")
    before = (root.level, list(root.handlers), logging.getLogger("lightning.pytorch").level)
    threads = torch.get_num_threads()
    train(tiny_config(schedule={"epochs": 1}, runtime={"threads": 2}), console=QUIET)
    now = (root.level, list(root.handlers), logging.getLogger("lightning.pytorch").level)
    assert now == before
    assert torch.get_num_threads() == threads


def test_interrupt_stays_an_interrupt_and_says_how_to_go_on(tiny_config, monkeypatch):
    before = signal.getsignal(signal.SIGINT)

    def press(self, trainer, module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("swinkit.training.progress.RunProgress.on_train_batch_end", press)
    screen = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(), console=Console(file=screen, width=300))
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopped after epoch 1; go on with swinkit train" in screen.getvalue()
