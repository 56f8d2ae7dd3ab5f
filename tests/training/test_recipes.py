import contextlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError
from swinkit.registry import get_task
from swinkit.task.train_config import OptimizerConfig, RuntimeConfig, ScheduleConfig
from swinkit.training.recipes import find_task, load_recipe, read_config, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_yaml(name, tmp_path):
    config = load_recipe(name, "some/images")
    config.save(tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config
    assert config.data.path == Path("some/images")
    source = Path(__file__).parents[2] / f"src/swinkit/recipes/{name}.yaml"
    assert "# Source: " in source.read_text()


def test_paper_recipe_states_the_paper():
    config = load_recipe("paper", "x")
    assert config.schedule.epochs == 300
    assert config.schedule.warmup_epochs == 20
    assert config.optimizer.peak_lr(1024) == pytest.approx(1e-3)
    assert config.optimizer.peak_lr(512) == pytest.approx(5e-4)
    assert config.augmentation.mixup_alpha == 0.8
    assert config.model.drop_path_rate == 0.2


def test_recipe_takes_data_settings_and_files(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("optimizer:\n  lr: 1e-3\nschedule:\n  early_stop: 4\n")
    data = DataConfig(path=Path("x"), val_fraction=0.3)
    config = load_recipe(file, data)
    assert config.optimizer.lr == 1e-3
    assert config.schedule.early_stop == 4
    assert config.data == data


def test_custom_architecture_survives_yaml(tiny_config, tmp_path):
    config = tiny_config(runtime={"batch_size": "auto"})
    config.save(tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"data": {"path": "x"}, "optimiser": {}}, "unknown setting optimiser"),
        ({"data": {"path": "x"}, "optimizer": {"lrr": 1}}, "unknown setting optimizer.lrr"),
        ({"data": {}}, "data.path is missing"),
        ({"data": {"path": "x"}, "schedule": {"epochs": "many"}}, "schedule.epochs"),
        ({"data": {"path": "x"}, "schedule": {"epochs": 1.5}}, "schedule.epochs"),
        ({"data": {"path": "x"}, "optimizer": {"lr": "fast"}}, "optimizer.lr"),
        ({"data": {"path": "x"}, "optimizer": {"betas": 3}}, "optimizer.betas"),
        ({"data": {"path": "x"}, "optimizer": 7}, "optimizer"),
        ({"data": {"path": "x"}, "runtime": {"batch_size": "many"}}, "batch_size"),
        ({"data": {"path": "x"}, "runtime": {"precision": "16"}}, "precision"),
        ({"data": {"path": "x"}, "class_weights": "some"}, "class_weights"),
        ({"data": {"path": "x"}, "schedule": {"steps": "abc"}}, "schedule.steps"),
        ({"data": {"path": "x"}, "optimizer": {"betas": ["a", "b"]}}, "optimizer.betas[0]"),
        ({"data": {"path": "x"}, "optimizer": {"lr": ".nan"}}, "optimizer.lr"),
        ({"data": {"path": "x"}, "runtime": {"out": ""}}, "runtime.out is empty"),
        ({"data": {"path": "x"}, "runtime": {"out": "."}}, "name the folder"),
        ({"data": {"path": "x"}, "model": {"weights": ""}}, "weights is empty"),
        ({"data": {"path": "x"}, "runtime": {"threads": [1]}}, "runtime.threads"),
    ],
)
def test_mistakes_are_named_in_one_line(values, named):
    with pytest.raises(ConfigError) as caught:
        ClassificationTrainConfig.from_dict(values)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (OptimizerConfig(), {"lr": 0.0}),
        (OptimizerConfig(), {"layer_decay": 1.1}),
        (OptimizerConfig(), {"clip_norm": 0.0}),
        (OptimizerConfig(), {"betas": (0.9, 1.0)}),
        (ScheduleConfig(), {"epochs": 0}),
        (ScheduleConfig(), {"end_factor": 2.0}),
        (RuntimeConfig(), {"accumulate": 0}),
        (RuntimeConfig(), {"ema": 1.0}),
        (RuntimeConfig(), {"batch_size": 0}),
        (OptimizerConfig(), {"lr": float("nan")}),
        (OptimizerConfig(), {"weight_decay": float("nan")}),
        (ScheduleConfig(), {"minutes": float("nan")}),
        (ScheduleConfig(), {"power": float("nan")}),
    ],
)
def test_values_out_of_range_are_refused(section, values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        replace(section, **values)


def test_missing_recipe_and_broken_yaml(tmp_path):
    with pytest.raises(ConfigError, match="small_data"):
        load_recipe("papre", "x")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2")
    with pytest.raises(ConfigError, match="is no YAML"):
        load_recipe(broken, "x")


def test_task_is_found_by_name_and_by_looking(shapes, scenes, images, tmp_path):
    for data, task in ((shapes, "detection"), (scenes, "segmentation"), (images, "classification")):
        assert find_task("faster_rcnn_swin_t", data) == "detection"
        assert find_task("unet_swin_t", data) == "segmentation"
        assert find_task("swin_t", data) == find_task(None, data) == task
        assert load_recipe(None, data).task == task
    assert find_task(None, tmp_path / "nowhere") == "classification"


def test_a_recipe_without_a_task_is_for_any(shapes, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("schedule:\n  epochs: 4\n")
    assert load_recipe(file, shapes).task == "detection"
    assert load_recipe(file, shapes, task="segmentation").task == "segmentation"
    file.write_text("model:\n  name: unet_swin_t\n")
    assert load_recipe(file, shapes).task == "segmentation"


def test_a_recipe_of_another_task_is_refused():
    with pytest.raises(ConfigError, match="small_data is for classification, not detection"):
        load_recipe("small_data", "x", task="detection")
    with pytest.raises(ConfigError, match="no task named 'poetry'"):
        load_recipe(None, "x", task="poetry")


@pytest.mark.parametrize(
    ("section", "values"),
    [("optimizer", {"lr": math.inf}), ("schedule", {"warmup_epochs": math.inf})],
)
def test_infinite_settings_are_refused(section, values):
    config = load_recipe("paper", "x")
    with pytest.raises(ConfigError, match=f"{section}.{next(iter(values))} is inf; give a finite"):
        replace(config, **{section: replace(getattr(config, section), **values)})


def test_home_is_written_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("runtime: {out: ~/runs/a}\nmodel: {weights: ~/a.pth}\n")
    config = load_recipe("~/mine.yaml", "~/photos", task="classification")
    assert config.data.path == tmp_path / "photos"
    assert config.runtime.out == tmp_path / "runs/a"
    assert config.model.weights == str(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "text", ["data: photos", "data: [1]", "model: swin_t", "model: {name: [1]}", "task: [1]", "7"]
)
def test_odd_recipes_are_one_line(text, tmp_path):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_recipe(tmp_path / "odd.yaml", "x")


def test_hostile_recipes_are_one_line_or_settings(cases_dir):
    read = {}
    for file in sorted((cases_dir / "hostile").glob("r_*.yaml")):
        with contextlib.suppress(ConfigError):
            read[file.stem] = str(load_recipe(file, "x", task="classification").runtime.out)
    # What looks like a date is the name of a folder.
    assert read == {"r_baddate": "2026-99-99", "r_out_date": "2026-11-25"}


def test_a_name_that_is_too_long_is_no_recipe():
    with pytest.raises(ConfigError, match="no recipe"):
        load_recipe("x" * 300, "x" * 300)


def test_a_detector_takes_no_class_weights():
    values = {"task": "detection", "data": {"path": "x"}, "class_weights": "balanced"}
    with pytest.raises(ConfigError, match="class_weights is for classifiers and segmenters"):
        get_task("detection").train_config.from_dict(values)
