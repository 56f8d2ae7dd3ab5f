"""`swinkit.train` from data and a few settings, and what comes after it."""

import numpy as np
import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from rich.console import Console

import swinkit
from swinkit.errors import ConfigError
from swinkit.training.recipes import read_config

QUIET = Console(quiet=True)


@pytest.fixture
def tiny(tiny_config, tmp_path):
    """The settings of a tiny run, as arguments of `train`."""
    config = tiny_config()
    return {
        **{"recipe": "small_data", "epochs": 2, "image_size": 32, "workers": 0, "device": "cpu"},
        **{"out": tmp_path / "run", "batch_size": 8, "console": QUIET},
        "settings": {"architecture": config.architecture, "runtime.preview": False},
    }


def test_the_whole_loop(images, tiny):
    run = swinkit.train(images, lr=0.01, **tiny)
    recorded = read_config(run.folder / "config.yaml")
    assert (recorded.schedule.epochs, recorded.optimizer.lr) == (2, 0.01)
    assert recorded.runtime.ema == swinkit.load_recipe("small_data", images).runtime.ema
    assert run.best.is_file()
    assert run.model().class_names == ("bright", "dark", "striped")
    report = swinkit.evaluate(run.best, images, split="val")
    assert report.numbers()["top1"] == pytest.approx(run.metrics["val_top1"])
    assert len(swinkit.predict(images / "val", run.best)) == 9
    longer = swinkit.train(resume=run.folder, epochs=3, console=QUIET)
    assert longer.epochs == 3
    assert longer.folder == run.folder


def test_a_named_length_takes_the_place_of_the_recipes(images, tiny):
    run = swinkit.train(images, **{**tiny, "epochs": None, "steps": 2})
    assert read_config(run.folder / "config.yaml").schedule.steps == 2
    with pytest.raises(ConfigError, match="steps and minutes all say how long"):
        swinkit.train(images, **{**tiny, "epochs": None, "steps": 2, "minutes": 1})


def test_callbacks_of_lightning_are_passed_through(images, tiny):
    class Watch(Callback):
        def __init__(self):
            self.seen = []

        def on_validation_end(self, trainer, pl_module):
            self.seen.append(float(trainer.callback_metrics["val_top1"]))

    watch, stop = Watch(), EarlyStopping("val_top1", patience=1, mode="max", min_delta=2.0)
    run = swinkit.train(images, **{**tiny, "epochs": 9}, callbacks=[watch, stop])
    assert run.epochs == 2, "no epoch is better by two"
    assert len(watch.seen) == 2
    assert max(watch.seen) == pytest.approx(run.metrics["val_top1"])
    longer = swinkit.train(resume=run.folder, epochs=10, console=QUIET)
    assert longer.epochs == 10, "without the callbacks, whose state the run holds"


def test_what_contradicts_itself_is_refused(images, tiny_config):
    config = tiny_config()
    with pytest.raises(ConfigError, match="leave recipe and task out"):
        swinkit.train(config, recipe="small_data")
    with pytest.raises(ConfigError, match="leave the recipe out"):
        swinkit.train(resume="runs/train", recipe="small_data")
    with pytest.raises(ConfigError, match="no images to train on"):
        swinkit.train()
    with pytest.raises(ConfigError, match=r"unknown setting schedule\.speed"):
        swinkit.train(config, settings={"schedule.speed": 3})
    with pytest.raises(ConfigError, match=r"unknown setting task\.speed: task is a single value"):
        swinkit.train(config, settings={"task.speed": 3})


def test_predict_knows_the_options_of_the_model_and_leaves_it_as_it_was():
    pixels = np.zeros((80, 64, 3), np.uint8)
    model = swinkit.create_segmenter("unet_swin_nano", num_classes=2)
    before = model.info
    (found,) = swinkit.predict(pixels, model, image_size="original", window=64)
    assert found.labels.shape == (80, 64)
    assert model.info is before
    assert model.training
    with pytest.raises(ConfigError, match=r"a segmenter has no top_k; it takes source, "):
        swinkit.predict(pixels, model, top_k=3)
    classifier = swinkit.create_model("swin_nano", num_classes=2)
    with pytest.raises(ConfigError, match="the model holds a classifier"):
        swinkit.predict(pixels, classifier, image_size="original")
