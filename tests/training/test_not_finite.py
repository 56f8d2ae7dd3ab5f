"""A step that is not finite leaves no trace; weights that are not finite are never kept."""

import io
import re
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from swinkit.errors import TrainingError
from swinkit.training.module import TrainingModule
from swinkit.training.not_finite import first_not_finite
from swinkit.training.run_folder import StateFile
from swinkit.training.train import train

QUIET = Console(quiet=True)


def all_finite(path) -> bool:
    return all(value.isfinite().all() for value in load_file(path).values())


@pytest.fixture
def broken_step(monkeypatch):
    """Puts an infinite value behind the patch embedding in one step, as it was counted."""
    original = TrainingModule.training_step

    def hooked(at):
        def step(self, batch, batch_idx):
            if self.global_step != at:
                return original(self, batch, batch_idx)

            def spoil(module, inputs, output):
                output.flatten()[0] = torch.inf
                return output

            hook = self.model.backbone.patch_embed.register_forward_hook(spoil)
            before.update({n: b.clone() for n, b in self.model.named_buffers()})
            try:
                return original(self, batch, batch_idx)
            finally:
                hook.remove()

        monkeypatch.setattr(TrainingModule, "training_step", step)

    before: dict[str, torch.Tensor] = {}
    hooked.before = before
    return hooked


@pytest.mark.parametrize("accumulate", [1, 2])
def test_running_statistics_and_average_go_back(segmentation, broken_step, monkeypatch, accumulate):
    broken_step(1)
    seen = {}
    original = TrainingModule._skip

    def skip(self):
        original(self)
        seen.update({n: b.clone() for n, b in self._running().items()})

    monkeypatch.setattr(TrainingModule, "_skip", skip)
    config = segmentation(
        runtime={"ema": 0.9, "batch_size": 4 // accumulate, "accumulate": accumulate}
    )
    screen = io.StringIO()
    folder = train(config, console=Console(file=screen, width=300)).folder
    assert "step 1 left out: it is not finite, first in backbone.patch_embed" in screen.getvalue()
    assert seen
    if accumulate == 1:
        assert all(value.equal(broken_step.before[name]) for name, value in seen.items())
    for name in ("best", "last"):
        assert all_finite(folder / f"{name}.safetensors")
    state = StateFile().load_checkpoint(folder / "resume.ckpt")
    assert all(
        value.isfinite().all() for value in state["callbacks"]["WeightAverage"]["average"].values()
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_diverging_segmenter_names_a_layer_and_keeps_finite_weights(segmentation, precision):
    config = segmentation(
        optimizer={"lr": 1e30},
        schedule={"epochs": 30, "warmup_epochs": 0},
        runtime={"precision": precision, "ema": 0.9},
    )
    with pytest.raises(TrainingError) as caught:
        train(config, console=QUIET)
    assert re.search(
        r"first that is not finite: \w+(\.\w+)+$|(\w+\.)+\w+ is not finite", str(caught.value)
    )
    for name in ("best", "last"):
        file = config.runtime.out / f"{name}.safetensors"
        assert not file.exists() or all_finite(file)


def test_weights_that_are_not_finite_are_not_kept(tiny_config, monkeypatch):
    original = TrainingModule.on_validation_epoch_end

    def spoil(self):
        original(self)
        if self.current_epoch == 1:
            with torch.no_grad():
                self.model.head.fc.bias[0] = torch.nan

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", spoil)
    config = tiny_config()
    with pytest.raises(TrainingError, match=r"after epoch 2 head\.fc\.bias is not finite"):
        train(config, console=QUIET)
    for name in ("best", "last"):
        assert all_finite(config.runtime.out / f"{name}.safetensors")
    state = StateFile().load_checkpoint(config.runtime.out / "resume.ckpt")
    assert state["epoch"] == 0


def test_a_nan_score_is_below_all_others(tiny_config, monkeypatch):
    original = TrainingModule.on_validation_epoch_end

    def spoil(self):
        original(self)
        if self.current_epoch == 0:
            self.val_metrics["val_top1"] = float("nan")

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", spoil)
    config = tiny_config()
    assert train(replace(config), console=QUIET).best_epoch > 1


def test_first_not_finite():
    large = torch.full((4,), 3e38)
    assert first_not_finite({"a": large, "b": torch.arange(3)}) is None
    assert first_not_finite({"a": large, "b": large * 2, "c": large * 2}) == "b"
    assert first_not_finite({}) is None
