import pytest
import torch

from swinkit.classification.create import create_model
from swinkit.errors import ConfigError
from swinkit.task.train_config import OptimizerConfig
from swinkit.training.parameter_groups import (
    decays,
    freeze,
    frozen_modules,
    layer_of,
    parameter_groups,
)


@pytest.fixture(scope="module")
def swin_t():
    with torch.device("meta"):
        return create_model("swin_t", num_classes=10)


def names_by_decay(model, config):
    groups = parameter_groups(model, model.config.depths, config, 1e-3)
    decayed = {name for group in groups if group["weight_decay"] for name in group["names"]}
    plain = {name for group in groups if not group["weight_decay"] for name in group["names"]}
    return decayed, plain


def test_v1_decays_matrices_only(swin_t):
    decayed, plain = names_by_decay(swin_t, OptimizerConfig())
    assert decayed | plain == {name for name, _ in swin_t.named_parameters()}
    assert not decayed & plain
    # Four matrices in each of 12 blocks, three reductions, the patch embedding and the head.
    assert len(decayed) == 12 * 4 + 3 + 1 + 1
    assert all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert "backbone.stages.2.blocks.5.attention.position_bias.table" in plain
    assert "backbone.stages.1.merge.norm.weight" in plain
    assert "head.fc.weight" in decayed


def test_v2_spares_logit_scale_and_bias_mlp():
    with torch.device("meta"):
        model = create_model("swin_v2_t", num_classes=10)
    _, plain = names_by_decay(model, OptimizerConfig())
    block = "backbone.stages.0.blocks.0.attention."
    assert {
        f"{block}logit_scale",
        f"{block}position_bias.mlp.0.weight",
        f"{block}position_bias.mlp.2.weight",
        f"{block}q_bias",
    } <= plain


def test_absolute_position_does_not_decay():
    assert not decays("backbone.absolute_position", 4)
    assert layer_of("backbone.absolute_position", (2, 2)) == 0


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("backbone.patch_embed.projection.weight", 0),
        ("backbone.stages.0.blocks.0.norm1.weight", 1),
        ("backbone.stages.0.blocks.1.mlp.fc1.weight", 2),
        ("backbone.stages.1.merge.reduction.weight", 3),
        ("backbone.stages.2.blocks.5.mlp.fc2.bias", 10),
        ("backbone.stages.3.blocks.1.norm2.bias", 12),
        ("backbone.norms.3.weight", 13),
        ("head.fc.bias", 13),
    ],
)
def test_layers_of_swin_t(name, layer):
    assert layer_of(name, (2, 2, 6, 2)) == layer


def test_layer_decay_slows_early_layers(swin_t):
    groups = parameter_groups(
        swin_t, swin_t.config.depths, OptimizerConfig(layer_decay=0.5), peak_lr=1.0
    )
    rate = {name: group["lr"] for group in groups for name in group["names"]}
    assert rate["head.fc.weight"] == 1.0
    assert rate["backbone.stages.3.blocks.1.mlp.fc1.weight"] == 0.5
    assert rate["backbone.patch_embed.projection.weight"] == pytest.approx(0.5**13)


def test_frozen_stages_are_left_out():
    model = create_model("swin_nano", num_classes=3)
    freeze(model, 2)
    groups = parameter_groups(model, model.config.depths, OptimizerConfig(), 1e-3)
    learning = {name for group in groups for name in group["names"]}
    assert not any(
        name.startswith(("backbone.patch_embed", "backbone.stages.0", "backbone.stages.1"))
        for name in learning
    )
    assert "backbone.stages.2.merge.reduction.weight" in learning
    assert len(frozen_modules(model, 2)) == 3


def test_more_frozen_stages_than_there_are(swin_t):
    with pytest.raises(ConfigError, match="4 stages"):
        freeze(swin_t, 5)
