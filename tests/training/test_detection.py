import io
import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from swinkit.checkpoints.load import load
from swinkit.detection.model import SwinDetector
from swinkit.detection.train import DetectionTraining
from swinkit.errors import ConfigError, TrainingError
from swinkit.training.module import TrainingModule, build_model
from swinkit.training.recipes import read_config
from swinkit.training.run_folder import read_results
from swinkit.training.schedule import Schedule
from swinkit.training.train import train

QUIET = Console(quiet=True)


def test_run_folder_holds_scores_and_pictures_and_the_model_predicts(detection, shapes):
    screen = io.StringIO()
    config = detection(runtime={"preview": True}, schedule={"epochs": 1})
    result = train(config, console=Console(file=screen, width=250))
    names = {path.name for path in result.folder.iterdir()}
    assert names >= {"config.yaml", "results.csv", "summary.json", "curves.png", "val", "test"}
    with Image.open(result.folder / "batch_preview.png") as opened:
        assert np.asarray(opened.convert("L")).std() > 5
    row = read_results(result.folder / "results.csv")[0]
    terms = {"rpn_objectness", "rpn_box", "s0_class", "s0_box", "s0_mask"}
    assert set(row) >= terms | {"train_loss", "val_box_ap", "val_mask_ap", "val_mask_ap50"}
    assert row["train_loss"] == pytest.approx(sum(row[name] for name in terms), rel=1e-4)
    model = load(result.folder / "best.safetensors", report=None)
    assert isinstance(model, SwinDetector)
    assert model.class_names == ("circle", "square", "triangle")
    assert model.preprocessing.short_side == 64
    assert len(model.predict(shapes / "images")) == 19
    assert read_config(result.folder / "config.yaml") == replace(
        config, data=replace(config.data, path=shapes.resolve())
    )
    summary = json.loads((result.folder / "summary.json").read_text())
    assert summary["val_mask_ap"] == pytest.approx(row["val_mask_ap"], abs=1e-3)
    assert "mask AP" in screen.getvalue()


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_interrupted_run_goes_on_exactly(kind, request, tmp_path, monkeypatch):
    make = request.getfixturevalue(kind)
    runtime = {"ema": 0.9, "accumulate": 2, "batch_size": 2}
    whole = train(make(runtime={**runtime, "out": tmp_path / "whole"}), console=QUIET)
    config = make(runtime={**runtime, "out": tmp_path / "parts"})

    def press(self, trainer, module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("swinkit.training.progress.RunProgress.on_train_batch_end", press)
        with pytest.raises(KeyboardInterrupt):
            train(config, console=QUIET)
    parts = tmp_path / "parts"
    assert len(read_results(parts / "results.csv")) == 1
    resumed = train(replace(config, runtime=replace(config.runtime, resume=parts)), console=QUIET)
    for ours, theirs in zip(
        read_results(parts / "results.csv"),
        read_results(whole.folder / "results.csv"),
        strict=True,
    ):
        timed = {"seconds", "images_per_second"}
        assert {k: v for k, v in ours.items() if k not in timed} == {
            k: v for k, v in theirs.items() if k not in timed
        }
    for name in ("best.safetensors", "last.safetensors"):
        assert (parts / name).read_bytes() == (whole.folder / name).read_bytes()
    assert resumed.metrics == whole.metrics


TWO_PROCESSES = """
import os, sys, torch
from swinkit.training.recipes import read_config
from swinkit.training.train import train
torch.set_num_threads(1)
child = os.fork()  # two that import nothing anew
os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(int(child == 0))
metrics = train(read_config(sys.argv[1])).metrics
assert metrics
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def train_in_two_processes(config, settings):
    """Two processes that are told what torchrun tells."""
    config.save(settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    ended = subprocess.run(
        [sys.executable, "-c", TWO_PROCESSES, str(settings)],
        env={**os.environ, **told, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr


def test_two_processes_with_unequal_objects(detection, shapes, tmp_path):
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    (data / "images").symlink_to(shapes / "images")
    for split in ("train", "val"):
        content = json.loads((shapes / f"annotations/{split}.json").read_text())
        if split == "train":  # every second image has no object
            empty = {image["id"] for image in content["images"][::2]}
            content["annotations"] = [
                item for item in content["annotations"] if item["image_id"] not in empty
            ]
        (data / f"annotations/{split}.json").write_text(json.dumps(content))
    config = detection(data=data, runtime={"batch_size": 1, "ema": 0.9}, schedule={"epochs": 1})
    train_in_two_processes(config, tmp_path / "settings.yaml")
    row = read_results(config.runtime.out / "results.csv")[0]
    summary = json.loads((config.runtime.out / "summary.json").read_text())
    # Five validation images do not divide by two: all count, and none twice.
    assert row["val_box_ap"] == pytest.approx(summary["val_box_ap"], abs=1e-3)
    assert math.isfinite(row["train_loss"])


def test_boxes_alone_train_the_kind_without_masks(detection):
    config = detection()
    model = built(config, has_masks=False)
    assert model.config.kind == "faster_rcnn"
    assert len(model.mask_heads) == 0
    htc = replace(config.architecture, kind="htc", rpn=None, roi=None)
    with pytest.raises(ConfigError, match="has boxes but no masks"):
        built(replace(config, architecture=htc), has_masks=False)


def built(config, **splits):
    """The network of a run, whose data may be changed."""
    task = DetectionTraining(config)
    task.splits = replace(task.splits, **splits)
    return build_model(task)


def test_starts_from_a_classifier_or_from_a_detector_of_other_classes(
    detection, tiny_config, tmp_path
):
    classifier = train(tiny_config(schedule={"epochs": 1}), console=QUIET).folder
    weights = str(classifier / "best.safetensors")
    given = load_file(weights)
    first = built(detection(model={"weights": weights}))
    own = first.state_dict()
    shared = [name for name in given if name.startswith("backbone.")]
    assert len(shared) > 20
    assert all(own[name].equal(given[name]) for name in shared)
    trained = train(
        detection(schedule={"epochs": 1}, runtime={"out": tmp_path / "first"}), console=QUIET
    ).folder
    weights = str(trained / "best.safetensors")
    config = detection(model={"weights": weights}, architecture=None)
    second = built(config, class_names=("circle", "other"))
    given, own = load_file(weights), second.state_dict()
    assert second.class_names == ("circle", "other")
    fresh = {
        name.rsplit(".", 1)[0] for name in own if not own[name].equal(given[name][: len(own[name])])
    }
    assert fresh <= {"box_heads.0.scores", "box_heads.0.deltas", "mask_heads.0.logits"}
    assert own["fpn.lateral.0.weight"].equal(given["fpn.lateral.0.weight"])


def test_freezing_and_layer_decay_reach_the_backbone(detection):
    config = detection(model={"frozen_stages": 1}, optimizer={"layer_decay": 0.5})
    task = DetectionTraining(config)
    model = build_model(task)
    learning = {name for name, value in model.named_parameters() if value.requires_grad}
    assert not any(
        name.startswith(("backbone.patch_embed", "backbone.stages.0")) for name in learning
    )
    module = TrainingModule(
        model,
        task,
        schedule=Schedule(config.schedule, 3),
        images_per_step=4,
    )
    rates = {
        group["initial_lr"] for group in module.configure_optimizers()["optimizer"].param_groups
    }
    assert rates == {3e-3, 1.5e-3}


@pytest.mark.parametrize(("side", "warns"), [(64, False), (200, True), (20, True)])
def test_sizes_far_from_those_of_use_are_told(side, warns, detection, caplog):
    task = DetectionTraining(detection(model={"image_size": side}))
    task.dataset(build_model(task), task.splits.train, train=True)
    assert (f"56 to 64 pixels in training, but {side}" in caplog.text) == warns


class FakeTrainer:
    current_epoch, global_step, global_rank, world_size, barebones = 0, 5, 0, 1, False


def test_steps_that_are_not_finite_are_left_out_and_said(detection, caplog):
    config = detection()
    task = DetectionTraining(config)
    module = TrainingModule(
        build_model(task),
        task,
        schedule=Schedule(config.schedule, 3),
        images_per_step=4,
    )
    module._trainer = FakeTrainer()
    for parameter in module.model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    module.configure_gradient_clipping(None, 1.0)
    assert all(parameter.grad is None for parameter in module.model.parameters())
    assert "epoch 1, step 5 left out" in caplog.text
    first = next(module.model.parameters())

    def clip(value):
        first.grad = torch.full_like(first, value)
        module.configure_gradient_clipping(None, None)

    clip(1.0)
    for _ in range(10):
        clip(math.inf)
    with pytest.raises(TrainingError, match=r"11 steps in a row .* lower optimizer\.lr"):
        clip(math.inf)


def test_training_on_validation_images_keeps_the_last_epoch(detection):
    config = replace(detection(), train_on="train+val")
    task = DetectionTraining(config)
    assert len(task.splits.train) == 15
    rows = [{"epoch": number, "val_box_ap": 1 / number} for number in (1, 2)]
    assert max(rows, key=task.rank)["epoch"] == 2
