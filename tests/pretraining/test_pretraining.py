"""`swinkit pretrain` from a folder of pictures to weights that other tasks start from."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.cli import main
from swinkit.data.config import DataConfig
from swinkit.errors import SwinkitError
from swinkit.inference import evaluate, predict
from swinkit.pretraining.config import MaskedImageConfig
from swinkit.pretraining.masking import settle_patch
from swinkit.pretraining.model import SwinMaskedImageModel, create_masked_image_model
from swinkit.registry import find_images_of
from swinkit.training.run_folder import read_results
from swinkit.training.train import TrainResult, pretrain

Run = Callable[..., TrainResult]


def test_the_run_folder_holds_pictures_and_weights_that_fill_images_in(
    run: Run, photos: Path
) -> None:
    screen = io.StringIO()
    longer = {"schedule.passes": 20, "schedule.warmup_epochs": 0.5}
    screened = Console(file=screen, width=300)
    result = run(epochs=3, lr=1e-2, settings=longer, console=screened)
    said = screen.getvalue()
    assert "squares of 8 pixels are hidden: 32, as in the paper, leave too few" in said
    assert "12 train + 2 val images" in said
    assert "classes" not in said
    rows = read_results(result.folder / "results.csv")
    assert rows[-1]["val_loss"] < 0.8 * rows[0]["val_loss"]
    for name in ("batch_preview.png", "val_preview.png", "val/reconstructions.png"):
        with Image.open(result.folder / name) as opened:
            assert np.asarray(opened.convert("L")).std() > 5
    model = result.model()
    assert isinstance(model, SwinMaskedImageModel)
    assert result.metrics["val_loss"] == pytest.approx(min(row["val_loss"] for row in rows), 1e-4)
    assert evaluate(model, photos).numbers()["loss"] < rows[0]["val_loss"]
    found = predict(photos / "a", result.best)
    assert len(found) == 7
    assert found[0].hidden.mean() == 10 / 16
    assert (found[0].filled[~found[0].hidden] == found[0].image[~found[0].hidden]).all()


class Stop(Callback):
    """Ends a run before its third epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(run: Run, tmp_path: Path) -> None:
    whole = run(epochs=3, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(epochs=3, out=tmp_path / "half", callbacks=[Stop()])
    again = pretrain(resume=tmp_path / "half")
    assert again.epochs == 3
    expected = load_file(whole.folder / "last.safetensors")
    for name, value in load_file(again.folder / "last.safetensors").items():
        assert torch.equal(value, expected[name]), name


def test_the_command(photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [
        "pretrain",
        str(photos),
        "--name",
        "swin_nano",
        "--image-size",
        "32",
        "--out",
        str(out),
    ]
    words += ["--steps", "1", "--batch-size", "4", "--workers", "0", "--mask-ratio", "0.5"]
    assert main([*words, "--logger", "csv", "--model.window-size", "4"]) == 0
    assert f"results in {out}" in capfd.readouterr().out
    weights = str(out / "best.safetensors")
    assert main(["predict", str(photos / "c"), "--weights", weights, "--plot", str(tmp_path)]) == 0
    assert "50%" in capfd.readouterr().out
    assert main(["predict", str(photos / "c"), "--weights", weights, "--precision", "bf16"]) == 0
    assert main(["evaluate", "--weights", weights, "--data", str(photos)]) == 0
    assert "loss of hidden pixels" in capfd.readouterr().out
    assert main(["pretrain", "--resume", str(out), "--steps", "2"]) == 0


def test_training_goes_on_from_it(
    run: Run, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nano = {"architecture": None, "model.name": "swin_nano", "model.window_size": 4}
    first = run(steps=1, epochs=None, settings=nano)
    for index, path in enumerate(sorted(photos.rglob("*.png"))):
        target = tmp_path / "classes" / "xy"[index % 2] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    words = ["train", str(tmp_path / "classes"), "--weights", str(first.best), "--steps", "1"]
    words += ["--recipe", "small_data", "--workers", "0", "--batch-size", "4", "--logger", "csv"]
    assert main([*words, "--out", str(tmp_path / "tuned"), "--model.window-size", "8"]) == 0
    said = capfd.readouterr().out
    assert "decoder (2 tensors)" in said
    assert "mask_token (1 tensors)" in said
    assert "bias tables resized (geometric)" in said


@pytest.mark.parametrize("creator", ["mask_rcnn_swin_nano", "upernet_swin_nano"])
def test_the_backbone_serves_detectors_and_segmenters(creator: str, tmp_path: Path) -> None:
    import swinkit
    from swinkit.task.starting_weights import start_from
    from swinkit.task.train_config import ModelConfig

    create = swinkit.create_detector if "rcnn" in creator else swinkit.create_segmenter
    model = create(creator, num_classes=3)
    backbone = replace(model.config.backbone, norm_stages=(3,), window_size=4)
    source = SwinMaskedImageModel(MaskedImageConfig(backbone=backbone))
    source.set_image_size(32)  # less than the windows cover
    path = swinkit.save(source, tmp_path / "pretrained.safetensors")
    config = ModelConfig(name=creator, weights=str(path))
    start_from(model, None, model.config.backbone, config, load)
    ours, theirs = model.backbone.state_dict(), source.backbone.state_dict()
    name = "stages.1.blocks.0.mlp.fc1.weight"
    assert torch.equal(ours[name], theirs[name])
    wide = create("mask_rcnn_swin_t" if "rcnn" in creator else "upernet_swin_t", num_classes=3)
    with pytest.raises(SwinkitError, match=r"does not fit the backbone of .*; choose weights of"):
        start_from(wide, None, wide.config.backbone, config, load)


@pytest.mark.parametrize("version", [1, 2])
def test_any_variant_size_and_number_of_bands(version: int) -> None:
    name = "swin_nano" if version == 1 else "swin_v2_t"
    model = create_masked_image_model(name, image_size=(40, 56), in_channels=4)
    assert (model.config.neighborhood is not None) == (version == 2)
    mask = torch.from_numpy(model.mask_drawer()(np.random.RandomState(0)))[None]
    image = torch.rand(1, 4, 40, 56)
    assert model(image, mask).shape == image.shape
    assert model.loss(image, mask).item() > 0


def test_it_is_no_model_to_export(tmp_path: Path) -> None:
    import swinkit

    model = create_masked_image_model("swin_nano", image_size=32)
    with pytest.raises(SwinkitError, match="a masked image model is not exported") as error:
        swinkit.export(model, tmp_path / "m.onnx", to="onnx")
    assert "\n" not in str(error.value)


def test_what_is_hidden_is_not_seen() -> None:
    model = create_masked_image_model("swin_nano", image_size=32).eval()
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[:, :8] = True
    image = torch.rand(1, 3, 32, 32)
    other = image.clone()
    other[:, :, :16] = torch.rand(1, 3, 16, 32)
    with torch.no_grad():
        assert torch.equal(model(image, mask), model(other, mask))
        assert not torch.equal(model(image), model(other))


def test_squares_fit_the_images() -> None:
    assert settle_patch((192, 192), None, 4) == 32
    assert settle_patch((224, 224), None, 4) == 32
    assert settle_patch((64, 64), None, 4) == 16
    assert settle_patch((32, 32), None, 2) == 8
    assert settle_patch((8, 8), None, 4) == 4


@pytest.mark.parametrize(
    ("settings", "size", "message"),
    [
        ({"masking.patch": 64}, 32, "mask squares of 64 pixels do not fill images of 32x32"),
        ({"masking.patch": 12}, 32, "do not fill images of 32x32 with patches of 4; choose 4, 8"),
        ({}, 30, "images of 30x30 pixels leave no room for squares to hide"),
        ({"masking.ratio": 1.0}, 32, "the mask ratio is 1.0; it must lie between 0 and 1"),
        ({"masking.ratio": 0.99, "masking.patch": 16}, 32, "hides 4 of the 4 squares"),
        ({"masking.neighborhood": 4}, 32, "give an odd number"),
        ({"class_weights": "balanced"}, 32, "class_weights means nothing without classes"),
    ],
)
def test_settings_that_cannot_be(
    run: Run, settings: dict[str, object], size: int, message: str
) -> None:
    with pytest.raises(SwinkitError, match=message) as error:
        run(settings=settings, image_size=size)
    assert "\n" not in str(error.value)


def test_folders_with_too_few_pictures(run: Run, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    with pytest.raises(SwinkitError, match="no images in this folder or below"):
        run(data=tmp_path / "few")
    Image.new("RGB", (32, 32)).save(tmp_path / "few/one.png")
    with pytest.raises(SwinkitError, match="1 image that can be read; pretraining needs two"):
        run(data=tmp_path / "few")


def test_weights_of_another_width(run: Run, tmp_path: Path) -> None:
    import swinkit

    wide = SwinConfig(embed_dim=16, depths=(1, 1), num_heads=(1, 2), norm_stages=(1,))
    path = swinkit.save(swinkit.SwinBackbone(wide), tmp_path / "wide.safetensors")
    with pytest.raises(SwinkitError, match=r"does not fit the backbone of .*; choose weights of"):
        run(weights=path)


def test_images_of_labeled_data_without_the_labels(photos: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for index in range(4):
            mode, color = ("RGB", (9, 80, index)) if kind == "images" else ("L", index % 2)
            Image.new(mode, (16, 16), color).save(tmp_path / kind / f"{index}.png")
    found = find_images_of(DataConfig(path=tmp_path))
    assert {path.parent.name for paths in found.values() for path in paths} == {"images"}
    assert len(find_images_of(DataConfig(path=photos))["all"]) == 14
    (tmp_path / "parts" / "val").mkdir(parents=True)
    shutil.copytree(photos / "a", tmp_path / "parts" / "train")
    Image.new("RGB", (16, 16)).save(tmp_path / "parts/val/1.png")
    parts = find_images_of(DataConfig(path=tmp_path / "parts"))
    assert {split: len(paths) for split, paths in parts.items()} == {"train": 7, "val": 1}
