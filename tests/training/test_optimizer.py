"""Groups, AdamW and Muon: the same steps as PyTorch's, computed as the processor likes it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swinkit.classification.model import create_model
from swinkit.errors import ConfigError
from swinkit.task.train_config import OptimizerConfig
from swinkit.training.optimizer import (
    MuonAdamW,
    build_optimizer,
    decays,
    freeze,
    frozen_modules,
    layer_of,
    orthogonal,
    parameter_groups,
)

BETAS = (0.9, 0.999)


def groups_of(first: nn.Parameter, second: nn.Parameter) -> list[dict]:
    return [
        {"params": [first], "lr": 0.1, "weight_decay": 0.0, "matrices": True},
        {"params": [second], "lr": 0.1, "weight_decay": 0.0, "matrices": False},
    ]


def pair() -> tuple[nn.Parameter, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return tuple(nn.Parameter(torch.randn(8, 24, generator=generator)) for _ in range(2))


def step(optimizer, parameters, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


def test_each_group_moves_as_its_own_optimizer_does():
    ours, peers = pair(), pair()
    one = MuonAdamW(groups_of(*ours), lr=0.1, betas=BETAS)
    muon = torch.optim.Muon([peers[0]], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([peers[1]], lr=0.1, betas=BETAS, weight_decay=0.0)
    for seed in range(3):
        step(one, ours, seed)
        step(adamw, peers, seed)
        muon.step()
    torch.testing.assert_close(ours[1], peers[1], rtol=1e-5, atol=1e-6)
    # PyTorch's Muon iterates in bfloat16: three steps of root mean square 0.02 in all.
    torch.testing.assert_close(ours[0], peers[0], rtol=0, atol=3e-3)


def test_a_muon_step_has_equal_singular_values_and_the_size_of_adamws():
    first, second = pair()
    before = first.detach().clone()
    step(MuonAdamW(groups_of(first, second), lr=0.1, betas=BETAS), (first, second))
    moved = first.detach() - before
    values = torch.linalg.svdvals(moved)
    assert values.max() / values.min() < 2.5  # of the gradient itself: more
    assert 0.1 * 0.1 < moved.square().mean().sqrt() < 0.1 * 0.4


def test_a_schedule_reaches_both_parts():
    parameters = pair()
    optimizer = MuonAdamW(groups_of(*parameters), lr=0.1, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 0.0)
    before = [parameter.detach().clone() for parameter in parameters]
    step(optimizer, parameters)
    schedule.step()
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    through, stopped = pair(), pair()
    optimizer = MuonAdamW(groups_of(*through), lr=0.1, betas=BETAS)
    first_half = MuonAdamW(groups_of(*stopped), lr=0.1, betas=BETAS)
    step(optimizer, through, 1)
    step(first_half, stopped, 1)
    saved = copy.deepcopy(first_half.state_dict())
    second_half = MuonAdamW(groups_of(*stopped), lr=0.5, betas=BETAS)
    second_half.load_state_dict(saved)
    step(optimizer, through, 2)
    step(second_half, stopped, 2)
    for whole, halves in zip(through, stopped, strict=True):
        assert torch.equal(whole, halves)


def test_parameters_without_gradient_stay():
    first, second = pair()
    before = first.detach().clone()
    optimizer = MuonAdamW(groups_of(first, second), lr=0.1, betas=BETAS)
    second.grad = torch.ones_like(second)
    assert optimizer.step(lambda: 3.0) == 3.0
    assert torch.equal(first, before)


def test_muon_takes_the_matrices_of_the_stages():
    with torch.device("meta"):
        model = create_model("swin_v2_t", num_classes=10)
    groups = parameter_groups(model, model.config.depths, OptimizerConfig(kind="muon"), 1e-3)
    taken = [name for group in groups if group["matrices"] for name in group["names"]]
    assert len(taken) == 12 * 4 + 3  # qkv, proj, two of the MLP; three mergings
    assert not [name for name in taken if "position_bias" in name or "head" in name]
    plain = parameter_groups(model, model.config.depths, OptimizerConfig(), 1e-3)
    assert not any(group["matrices"] for group in plain)


def test_adamw_is_adamw():
    groups = groups_of(*pair())
    optimizer = build_optimizer(groups, kind="adamw", lr=0.1, betas=BETAS)
    assert isinstance(optimizer, torch.optim.AdamW)


def test_other_kinds_are_refused():
    with pytest.raises(ConfigError, match="choose adamw or muon"):
        OptimizerConfig(kind="sgd")


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


@settings(deadline=None)
@given(
    number=st.integers(1, 3),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    seed=st.integers(),
)
def test_singular_values_near_one(number: int, rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed % 2**32)
    matrices = torch.randn(number, rows, columns, generator=generator)
    made = orthogonal(matrices)
    assert made.shape == matrices.shape
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # The iteration lifts what is not far below the largest; random matrices may have such values.
    lifted = values > 0.05 * values[:, :1]
    found = torch.linalg.vecdot(left.mT, (made @ right.mT).mT, dim=-1)
    assert (found[lifted] > 0.5).all()
    assert (found[lifted] < 1.3).all()


def test_matrices_do_not_touch_each_other() -> None:
    matrices = torch.randn(3, 12, 7)
    together = orthogonal(matrices)
    for alone, among in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonal(alone[None])[0], among)


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_steps_are_those_of_pytorch_up_to_its_rounding(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for _ in range(2)]
    ours = [nn.Parameter(value.clone()) for value in start]
    peers = [nn.Parameter(value.clone()) for value in start]
    group = {"params": ours, "weight_decay": 0.3, "matrices": True}
    one = MuonAdamW([group], lr=0.1, betas=BETAS)
    other = torch.optim.Muon(peers, lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for our, peer in zip(ours, peers, strict=True):
            our.grad = torch.randn(shape, generator=generator)
            peer.grad = our.grad.clone()
        one.step()
        other.step()
    for our, peer, before in zip(ours, peers, start, strict=True):
        moved = (our - before).square().mean().sqrt()
        assert (our - peer).abs().max() < 0.1 * moved
        assert (our - peer).square().mean().sqrt() < 0.02 * moved
