"""The segmenter, its names, its published numbers, and transformers' UPerNet beside it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_peers import strengthen
from safetensors.torch import save_file
from upernet_peers import STAGES, deviation, fill, shake_norms, small_config

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import header_of
from swinkit.errors import ConfigError, DataError
from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmentationLossConfig, SegmenterConfig
from swinkit.segmentation.model import SwinSegmenter, create_segmenter
from swinkit.segmentation.variants import SEGMENTERS, count_segmenter_flops
from swinkit.task.model import ModelInfo

TINY = SwinConfig(
    embed_dim=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), window_size=4, norm_stages=STAGES
)


def tiny(**changes: Any) -> SegmenterConfig:
    values: dict[str, Any] = {"backbone": TINY, "num_classes": 3, "channels": 16}
    return SegmenterConfig(**(values | {"auxiliary_channels": 8} | changes))


@pytest.mark.parametrize(
    ("name", "million", "giga"),
    [("upernet_swin_t", 60, 945), ("upernet_swin_s", 81, 1038), ("upernet_swin_b", 121, 1188)],
)
def test_published_numbers(name: str, million: float, giga: float) -> None:
    """2103.14030, table 3: parameters, and FLOPs at 512 x 2048, within 2 %."""
    with torch.device("meta"):
        model = SwinSegmenter(SEGMENTERS[name])
    parameters = sum(value.numel() for value in model.parameters())
    assert parameters / 1e6 == pytest.approx(million, rel=0.02)
    flops = count_segmenter_flops(SEGMENTERS[name], (512, 2048))
    assert flops / 1e9 == pytest.approx(giga, rel=0.02)


@pytest.mark.parametrize("sizes", [[(64, 96), (71, 53), (90, 130)]])
def test_transformers(sizes: list[tuple[int, int]]) -> None:
    from transformers import SwinConfig as TheirSwin
    from transformers import UperNetConfig, UperNetForSemanticSegmentation

    swin = TheirSwin(
        embed_dim=24,
        depths=[2, 2, 3, 1],
        num_heads=[2, 4, 8, 16],
        out_features=[f"stage{stage + 1}" for stage in STAGES],
    )
    settings = UperNetConfig(
        backbone_config=swin,
        hidden_size=32,
        num_labels=7,
        auxiliary_in_channels=96,
        auxiliary_channels=32,
    )
    peer = strengthen(UperNetForSemanticSegmentation(settings))
    shake_norms(peer)
    model = fill(SwinSegmenter(small_config()), dict(peer.state_dict()))
    for size in sizes:
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            theirs = peer.double()(image.double()).logits
            exact = model.double()(image.double())
            ours = model.float()(image)
            rounded = peer.float()(image).logits
        assert deviation(exact, theirs) <= 1e-9, size
        assert deviation(ours, theirs) <= max(1e-5, 2 * deviation(rounded, theirs)), size


@pytest.mark.parametrize("decoder", ["upernet", "unet"])
@pytest.mark.parametrize("version", [1, 2])
def test_any_size_and_both_decoders(decoder: Any, version: Any) -> None:
    backbone = SwinConfig(**{**TINY.to_dict(), "version": version})
    model = SwinSegmenter(tiny(backbone=backbone, decoder=decoder)).eval()
    for size in ((64, 64), (37, 90), (5, 9)):
        with torch.no_grad():
            logits = model(torch.randn(1, 3, *size))
            decoded, auxiliary = model.decode(torch.randn(1, 3, *size))
        assert logits.shape == (1, 3, *size)
        quarter = tuple(-(-side // 4) for side in size)
        assert decoded.shape[2:] == (quarter if decoder == "upernet" else size)
        assert auxiliary is not None
        assert auxiliary.shape[2:] == tuple(-(-side // 16) for side in size)


def test_bfloat16_autocast_stays_near() -> None:
    model = SwinSegmenter(tiny()).eval()
    images = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(images)
    assert (rounded.float() - exact).abs().max() < 0.05 * exact.std() + 0.05


@pytest.mark.parametrize("decoder", ["upernet", "unet"])
def test_learns_one_picture(decoder: Any) -> None:
    model = SwinSegmenter(tiny(decoder=decoder, dropout=0.0)).train()
    labels = torch.randint(0, 3, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = torch.randn(2, 3, 32, 32) + 3 * torch.nn.functional.one_hot(labels, 3).movedim(3, 1)
    labels[:, :4] = 255
    loss = SegmentationLossConfig(dice=0.5)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    history = []
    for _ in range(40):
        losses = model.losses(images, labels, loss)
        assert set(losses) == {"cross_entropy", "dice", "auxiliary"}
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total.detach()))
    assert history[-1] < 0.5 * history[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_an_auxiliary_head() -> None:
    model = SwinSegmenter(tiny(auxiliary_stage=None))
    labels = torch.zeros(2, 32, 32, dtype=torch.long)
    assert set(model.losses(torch.randn(2, 3, 32, 32), labels)) == {"cross_entropy"}
    assert not any(name.startswith("auxiliary") for name in model.state_dict())


def test_what_training_refuses() -> None:
    model = SwinSegmenter(tiny()).train()
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    with pytest.raises(ConfigError, match="batch of one"):
        model.losses(torch.randn(1, 3, 32, 32), labels)
    with pytest.raises(DataError, match="label 7"):
        model.losses(torch.randn(2, 3, 32, 32), labels.repeat(2, 1, 1) + 7)
    model.eval().losses(torch.randn(1, 3, 32, 32), labels)


def test_config_survives_json() -> None:
    for name, config in SEGMENTERS.items():
        assert SegmenterConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config, name
    # Weights that swinkit 0.1 saved name a switch of speed, on or off.
    assert SegmenterConfig.from_dict({**tiny().to_dict(), "late_enlarging": False}) == tiny()
    with pytest.raises(ConfigError, match="unknown setting depth"):
        SegmenterConfig.from_dict({**tiny().to_dict(), "depth": 3})


@pytest.mark.parametrize("switch", [True, False])
def test_weights_saved_with_the_switch_of_speed_load(switch: bool, tmp_path: Path) -> None:
    model = SwinSegmenter(tiny())
    metadata = header_of(model)
    header = json.loads(metadata["swinkit"])
    header["config"]["late_enlarging"] = switch
    path = tmp_path / "saved.safetensors"
    save_file(model.state_dict(), path, metadata={"swinkit": json.dumps(header)})
    loaded = load(path, report=None)
    assert loaded.config == model.config
    image = torch.randn(1, 3, 40, 52)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(image), model.eval()(image))


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder": "deeplab"},
        {"num_classes": 0},
        {"channels": 0},
        {"pool_scales": ()},
        {"auxiliary_stage": 4},
        {"dropout": 1.0},
        {"backbone": SwinConfig()},
        {"decoder": "unet", "backbone": SwinConfig(patch_size=3, norm_stages=STAGES)},
    ],
)
def test_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        tiny(**changes)


def test_by_name() -> None:
    model = create_segmenter("unet_swin_nano", class_names=("sky", "road"), in_channels=4)
    assert model.class_names == ("sky", "road")
    assert model.num_classes == 2
    assert model.info.preprocessing.channels == 4
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 4, 32, 40)).shape == (1, 2, 32, 40)
    with pytest.raises(ConfigError, match="no segmenter named 'upernet'"):
        create_segmenter("upernet")
    with pytest.raises(ConfigError, match="2 class names for a model of 3"):
        model = SwinSegmenter(tiny(), info=ModelInfo(class_names=("a", "b")))
    assert SwinSegmenter(tiny()).class_names == ("class 0", "class 1", "class 2")
    expected = {f"{d}_swin_{s}" for d in ("upernet", "unet") for s in ("t", "s", "b", "nano")}
    assert expected <= set(SEGMENTERS)


def test_settings_need_no_pytorch() -> None:
    code = (
        "import sys; import swinkit.segmentation.variants, swinkit.segmentation.variants, "
        "swinkit.segmentation.config; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_predict_gives_maps_in_original_pixels() -> None:
    model = create_segmenter("unet_swin_nano", class_names=("sky", "road", "car"))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    (found,) = model.predict(image, keep_probabilities=True)
    assert found.labels.shape == (40, 50)
    assert found.class_names == ("sky", "road", "car")
    assert model.training
    model.info = replace(model.info, preprocessing=Fit(short_side=None, long_side=None, divisor=1))
    (whole,) = model.predict(image)
    (window,) = model.predict(image, window=64)
    assert np.array_equal(whole.labels, window.labels)
