import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from swinkit.checkpoints.load import load
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.train import SegmentationTraining
from swinkit.training.module import TrainingModule, build_model
from swinkit.training.recorder import WeightAverage
from swinkit.training.run_folder import read_results
from swinkit.training.schedule import Schedule
from swinkit.training.train import train


def test_run_folder_holds_scores_and_pictures_and_the_model_predicts(segmentation, scenes):
    screen = io.StringIO()
    config = segmentation(
        runtime={"preview": True},
        schedule={"epochs": 10, "passes": 2},
        optimizer={"lr": 1e-2},
        top={"class_weights": "balanced"},
    )
    result = train(config, console=Console(file=screen, width=250))
    names = {path.name for path in result.folder.iterdir()}
    assert names >= {"config.yaml", "results.csv", "summary.json", "curves.png", "val"}
    with Image.open(result.folder / "batch_preview.png") as opened:
        assert np.asarray(opened.convert("L")).std() > 5
    rows = read_results(result.folder / "results.csv")
    assert set(rows[0]) >= {"cross_entropy", "auxiliary", "val_loss", "val_miou"}
    assert max(row["val_miou"] for row in rows) > 0.8
    model = load(result.folder / "best.safetensors", report=None)
    assert isinstance(model, SwinSegmenter)
    assert model.class_names == ("sky", "road")
    found = model.predict(scenes / "images/val")
    assert len(found) == 3
    assert result.metrics["val_miou"] == pytest.approx(model.info.metrics["val_miou"], abs=0.02)
    assert "mIoU" in screen.getvalue()


def test_class_weights_reach_the_loss(segmentation):
    weighted = SegmentationTraining(replace(segmentation(), class_weights="balanced"))
    assert len(weighted.loss.class_weights) == 2
    assert SegmentationTraining(segmentation()).loss.class_weights is None


class FakeTrainer:
    global_step = 1


def test_average_follows_running_statistics(segmentation):
    config = segmentation()
    task = SegmentationTraining(config)
    module = TrainingModule(
        build_model(task),
        task,
        schedule=Schedule(config.schedule, 3),
        images_per_step=4,
    )
    average = WeightAverage(0.5)
    average.on_fit_start(FakeTrainer(), module)
    running = [name for name in average.average if name.endswith("running_mean")]
    assert running
    module.train()
    loss = task.step(
        module.model, (torch.randn(4, 3, 32, 32), torch.zeros(4, 32, 32).long(), None), 0
    )
    assert loss.terms.keys() == {"cross_entropy", "auxiliary"}
    average.on_train_batch_end(FakeTrainer(), module, None, None, 0)
    buffers = dict(module.model.named_buffers())
    decay = 2 / 11
    for name in running:
        torch.testing.assert_close(average.average[name], (1 - decay) * buffers[name])


@pytest.mark.parametrize(("side", "warns"), [(40, False), (12, True)])
def test_crops_that_no_image_fills_are_told(side, warns, segmentation, caplog):
    task = SegmentationTraining(segmentation(model={"image_size": side}))
    task.dataset(build_model(task), task.splits.train, train=True)
    assert ("the rest is padding" in caplog.text) == warns
