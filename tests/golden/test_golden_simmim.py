"""SimMIM's own tensors: masks, reconstruction, loss, gradients, bias tables on other windows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.convert import convert, export_tensors
from swinkit.checkpoints.load import load
from swinkit.pretraining.config import PUBLISHED_NEIGHBORHOOD
from swinkit.pretraining.masking import draw_mask
from swinkit.pretraining.model import SwinMaskedImageModel
from swinkit.windows.position_bias import resize_bias_table_geometric

OUTPUTS, GRADIENTS = 1e-5, 1e-4  # of the standard deviation
CONDITIONED = 5e-5  # mean square minus squared mean, and transformers' V2 kernels
CASES = {
    "ms_simmim_v1_case1": ("microsoft", None, OUTPUTS),
    "ms_simmim_v2_case1": ("microsoft", PUBLISHED_NEIGHBORHOOD, OUTPUTS),
    "hf_simmim_case1": ("huggingface", None, OUTPUTS),
    "hf_simmimv2_case1": ("huggingface", None, CONDITIONED),
}


def read(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    values = load_file(folder / f"{name}.safetensors")
    state = {k.removeprefix("state."): v for k, v in values.items() if k.startswith("state.")}
    return values, state


def opened(folder: Path, name: str, tmp_path: Path) -> SwinMaskedImageModel:
    """As a user has it: a state dict of microsoft, a folder of transformers."""
    layout, neighborhood, _ = CASES[name]
    _, state = read(folder, name)
    settings = json.loads((folder / f"{name}.json").read_text())["config"]
    if layout == "huggingface":
        (tmp_path / "config.json").write_text(json.dumps(settings))
        torch.save(state, tmp_path / "pytorch_model.bin")
        model = load(tmp_path, report=None)
    else:
        second = settings["model"] == "swinv2"
        known = {"window_size": settings["window_size"], "image_size": settings["img_size"]}
        model = load(state, report=None, **(known if second else {}))
    assert isinstance(model, SwinMaskedImageModel)
    assert model.config.neighborhood == neighborhood
    return model


def mask_of(values: dict[str, Tensor], model: SwinMaskedImageModel) -> Tensor:
    side = values["input.image"].shape[-1] // model.config.backbone.patch_size
    mask = values["input.mask"] if "input.mask" in values else values["input.bool_masked_pos"]
    return mask.reshape(-1, side, side).bool()


def deviation(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.detach().reshape(theirs.shape) - theirs).abs().max() / theirs.std())


@pytest.mark.parametrize("name", CASES)
def test_reconstruction_loss_and_gradients(golden_dir: Path, name: str, tmp_path: Path) -> None:
    values, _ = read(golden_dir, name)
    model, tolerance = opened(golden_dir, name, tmp_path), CASES[name][2]
    image, mask = values["input.image"], mask_of(values, model)
    embedded, _ = model.backbone._embed(image, mask, model.mask_token)
    assert deviation(embedded, values["out.embedded"]) < OUTPUTS
    assert deviation(model(image, mask), values["out.reconstruction"]) < tolerance
    if "out.reconstruction_without_mask" in values:
        assert deviation(model(image), values["out.reconstruction_without_mask"]) < tolerance
    if "out.norm_targets" in values:
        assert deviation(model.targets(image), values["out.norm_targets"]) < CONDITIONED
    loss = model.loss(image, mask)
    assert loss.item() == pytest.approx(float(values["loss.total"]), rel=1e-5)
    loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    for parameter, ours in gradients.items():
        model.get_parameter(parameter).data = ours
    named = export_tensors(model, CASES[name][0], tuple(image.shape[-2:]))
    checked = 0
    for key, theirs in values.items():
        if key.startswith("grad."):
            own = named[key.removeprefix("grad.").removesuffix(".first512")]
            own = own[:512] if key.endswith(".first512") else own
            size = float(theirs.std() if theirs.numel() > 1 else theirs.abs().mean())
            assert float((own.reshape(theirs.shape) - theirs).abs().max()) <= GRADIENTS * size
            checked += 1
    assert checked >= 6


def test_masks_are_those_of_the_generator(golden_dir: Path) -> None:
    values = load_file(golden_dir / "ms_simmim_mask_generator.safetensors")
    cases = json.loads((golden_dir / "ms_simmim_mask_generator.json").read_text())["config"]
    for name, case in cases.items():
        random = np.random.RandomState(case["numpy_seed"])
        for expected in values[f"out.{name}.masks"].numpy():
            mask = draw_mask(
                (case["input_size"],) * 2,
                mask_patch=case["mask_patch_size"],
                model_patch=case["model_patch_size"],
                ratio=case["mask_ratio"],
                random=random,
            )
            np.testing.assert_array_equal(mask, expected.astype(bool))
    assert len(cases) == 11


def test_bias_tables_on_other_windows(golden_dir: Path) -> None:
    values = load_file(golden_dir / "ms_simmim_bias_resize.safetensors")
    names = [name for name in values if name.startswith("out.table_")]
    for name in names:
        old, new = (int(text) for text in name.removeprefix("out.table_").split("_to_"))
        moved = resize_bias_table_geometric(values[f"input.table_{old}"], (old,) * 2, (new,) * 2)
        torch.testing.assert_close(moved, values[name], rtol=1e-6, atol=1e-6)
    assert len(names) == 9


@pytest.mark.parametrize(
    ("case", "size", "window"), [("w6_192", 192, None), ("w7_224", 224, 7), ("w12_192", 192, 12)]
)
def test_the_official_checkpoint_starts_a_classifier(
    golden_dir: Path, case: str, size: int, window: int | None
) -> None:
    values, head = read(golden_dir, "ms_simmim_checkpoint_case1")
    reports: list[str] = []
    model = load(
        golden_dir / "ms_simmim_checkpoint_case1.pth",
        image_size=size,
        window_size=window,
        task="classification",
        num_classes=7,
        report=lambda report: reports.append(str(report)),
    )
    assert "decoder (2 tensors)" in reports[0]
    assert "part of masked image pre-training" in reports[0]
    assert ("resized (geometric)" in reports[0]) == (window is not None)
    named = export_tensors(model, "microsoft", (size, size))
    for key, theirs in values.items():
        if key.startswith(f"out.{case}.layers"):
            ours = named[key.removeprefix(f"out.{case}.")]
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    model.head.fc.load_state_dict({n.removeprefix("head."): v for n, v in head.items()})
    with torch.no_grad():
        logits = model(values[f"input.image_{size}"])
    assert deviation(logits, values[f"out.{case}.logits"]) < 1e-5


def test_backbone_of_the_official_checkpoint(golden_dir: Path) -> None:
    path = golden_dir / "ms_simmim_checkpoint_case1.pth"
    assert isinstance(load(path, task="backbone", report=None), SwinBackbone)
    model = load(path, report=None)
    assert isinstance(model, SwinMaskedImageModel)
    assert model.preprocessing.size_hw == (192, 192)


@pytest.mark.parametrize("name", CASES)
def test_to_another_layout_and_back_bit_for_bit(
    golden_dir: Path, name: str, tmp_path: Path
) -> None:
    _, state = read(golden_dir, name)
    model, layout = opened(golden_dir, name, tmp_path), CASES[name][0]
    other = "huggingface" if layout == "microsoft" else "microsoft"
    there = tmp_path / ("there" if other == "huggingface" else "there.pth")
    convert(model, there, to=other, report=None)
    known = {"window_size": 4, "image_size": 64} if name == "hf_simmimv2_case1" else {}
    native = convert(
        load(there, report=None, **known), tmp_path / "n.safetensors", to="native", report=None
    )
    again = export_tensors(load(native, report=None), layout, model.preprocessing.size_hw)
    for key, value in state.items():
        assert torch.equal(again[key], value), key
