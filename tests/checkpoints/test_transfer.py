"""Windows, resolution, classes and channels: what changes, what stays, and that it is said."""

from typing import Any

import pytest
import torch
from checkpoint_peers import deviation, strengthen, timm_v1, timm_v2

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer import BackboneWeights
from swinkit.checkpoints.load import load
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.transfer import move_image, move_windows
from swinkit.classification.checkpoint import imagenet_22k_to_1k
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError


def native_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}


def loaded(state: dict[str, torch.Tensor], **settings: Any) -> tuple[Any, Any]:
    reports: list[Any] = []
    model = load(state, report=reports.append, **settings)
    return model, reports[0]


def test_window_and_image_size_as_the_official_loader() -> None:
    peer = timm_v1(224, 7)
    model, report = loaded(dict(peer.state_dict()), window_size=12, image_size=384)
    assert model.config.window_size == ((12, 12),) * 4
    assert len(report.changed) == 4
    assert model.info.preprocessing.size_hw == (384, 384)
    old = peer.state_dict()["layers.1.blocks.0.attn.relative_position_bias_table"]
    grid = old.T.reshape(1, 2, 13, 13)
    moved = torch.nn.functional.interpolate(grid, (23, 23), mode="bicubic", align_corners=False)
    own = native_tensors(model)["stages.1.blocks.0.attention.position_bias.table"]
    assert deviation(own.T.reshape(1, 2, 23, 23), moved) <= 1e-6
    assert model(torch.zeros(1, 3, 384, 384)).shape == (1, 11)


def test_window_that_had_shrunk_grows_with_the_image() -> None:
    state = dict(timm_v1(112, 7).state_dict())  # stage 4 is 4 x 4
    model, report = loaded(state, image_size=224)
    assert model.config.window_size == ((7, 7),) * 4
    assert any("stage 4" in line for line in report.changed)
    model, report = loaded(state)
    assert model.config.window_size[3] == (4, 4)
    assert not report.changed


def test_v2_keeps_the_scale_it_was_trained_with() -> None:
    trained = timm_v2(128, 8)
    larger = timm_v2(256, 16, pretrained_window_sizes=(8, 8, 8, 4))
    larger.load_state_dict(trained.state_dict())
    first = load(
        dict(trained.state_dict()),
        window_size=8,
        image_size=128,
        pretrained_window_size=0,
        report=None,
    )
    state = dict(first.state_dict())
    assert first.config.window_size == ((8, 8), (8, 8), (8, 8), (4, 4))
    weights = BackboneWeights(tensors=state, config=first.config, image_hw=(128, 128))
    account = LoadReport(origin="test", source="test")
    move_windows(weights, (256, 256), 16, account)
    move_image(weights, (256, 256), account)
    assert weights.config.window_size == ((16, 16), (16, 16), (16, 16), (8, 8))
    assert weights.config.pretrained_window_size == ((8, 8), (8, 8), (8, 8), (4, 4))
    moved = SwinClassifier(weights.config, num_classes=11).eval()
    moved.load_state_dict(state)
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        assert deviation(moved(image), larger(image)) <= 1e-5


def test_absolute_positions_follow_the_image() -> None:
    config = SwinConfig(
        embed_dim=16, depths=(1, 1), num_heads=(1, 2), norm_stages=(1,), absolute_position_hw=(8, 8)
    )
    model = strengthen(SwinClassifier(config, num_classes=3))
    moved, report = loaded(model.state_dict(), image_size=(48, 64))
    assert moved.config.absolute_position_hw == (12, 16)
    assert native_tensors(moved)["absolute_position"].shape == (1, 12, 16, 16)
    assert any("absolute position" in line for line in report.changed)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_channel_policies_keep_the_scale_of_activations(channels: int) -> None:
    state = dict(timm_v1(112).state_dict())
    kernel = state["patch_embed.proj.weight"]
    gray = torch.randn(1, 1, 8, 8)
    expected = torch.nn.functional.conv2d(gray.expand(1, 3, 8, 8), kernel, stride=4)
    model, report = loaded(state, in_channels=channels)
    moved = native_tensors(model)["patch_embed.projection.weight"]
    own = torch.nn.functional.conv2d(gray.expand(1, channels, 8, 8), moved, stride=4)
    torch.testing.assert_close(own, expected)
    assert any("policy mean" in line for line in report.changed)
    assert model.info.preprocessing.channels == channels
    model, _ = loaded(state, in_channels=channels, channel_policy="zeros")
    moved = native_tensors(model)["patch_embed.projection.weight"]
    torch.testing.assert_close(moved[:, :3], kernel[:, :channels])
    assert not moved[:, 3:].any()
    model, _ = loaded(state, in_channels=channels, channel_policy="repeat")
    moved = native_tensors(model)["patch_embed.projection.weight"]
    torch.testing.assert_close(moved[:, 0], kernel[:, 0] * 3 / channels)


def test_unknown_policy() -> None:
    with pytest.raises(CheckpointError, match="choose mean, repeat, zeros"):
        load(dict(timm_v1().state_dict()), in_channels=4, channel_policy="best")  # type: ignore[arg-type]


def test_other_classes_start_afresh_and_strict_accepts_it() -> None:
    model, report = loaded(dict(timm_v1().state_dict()), num_classes=4, strict=True)
    assert model.head.fc.out_features == 4
    assert report.initialized == ["head.fc.weight", "head.fc.bias"]
    assert any("11 classes to 4" in line for line in report.changed)


def test_imagenet_22k_to_1k_keeps_the_rows() -> None:
    peer = timm_v1(num_classes=21841)
    model, report = loaded(dict(peer.state_dict()), num_classes=1000, strict=True)
    rows = imagenet_22k_to_1k()
    image = torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        assert deviation(model(image), peer(image)[:, rows]) <= 1e-5
    assert not report.initialized


def test_the_mapping_agrees_with_wordnet_order() -> None:
    from timm.data import ImageNetInfo

    rows = imagenet_22k_to_1k()
    small = ImageNetInfo("imagenet-1k").label_names()
    large = {name: i for i, name in enumerate(ImageNetInfo("imagenet-22k").label_names())}
    assert len(set(rows)) == 1000
    # The authors' list holds at most two synsets that timm's lacks; teddy bear has no 22K class.
    shifts = [row - large[name] for row, name in zip(rows, small, strict=True) if name in large]
    assert len(shifts) == 999
    assert shifts == sorted(shifts)
    assert set(shifts) == {0, 1, 2}
