import copy

import pytest
import torch
from torch import nn

from swinkit.classification.create import create_model
from swinkit.errors import ConfigError
from swinkit.task.train_config import OptimizerConfig
from swinkit.training.optimizer import MuonAdamW, build_optimizer
from swinkit.training.parameter_groups import parameter_groups

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
