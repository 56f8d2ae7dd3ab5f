"""Relative position bias: index and coordinates by brute force, the kept constant, the resize."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from swinkit.windows.position_bias import (
    PositionBias,
    PositionBiasMLP,
    PositionBiasTable,
    log_spaced_coordinates,
    relative_position_index,
    resize_bias_table,
)

SizeHW = tuple[int, int]
windows = st.tuples(st.integers(1, 7), st.integers(1, 7))
many = settings(max_examples=40, deadline=None)

KINDS: dict[str, Callable[[], PositionBias]] = {
    "table": lambda: PositionBiasTable((3, 4), 2),
    "mlp": lambda: PositionBiasMLP((3, 4), 2),
}


def tokens_of(window: SizeHW) -> list[tuple[int, int]]:
    return [(y, x) for y in range(window[0]) for x in range(window[1])]


@given(windows)
@many
def test_index_by_brute_force(window: SizeHW) -> None:
    index = relative_position_index(window)
    offsets = [
        (y, x) for y in range(1 - window[0], window[0]) for x in range(1 - window[1], window[1])
    ]
    for query, (y, x) in enumerate(tokens_of(window)):
        for key, (other_y, other_x) in enumerate(tokens_of(window)):
            assert offsets[int(index[query, key])] == (y - other_y, x - other_x)


@given(windows, st.integers(1, 3))
@many
def test_bias_is_the_table_at_the_offset(window: SizeHW, heads: int) -> None:
    bias = PositionBiasTable(window, heads)
    grid = bias.table.detach().view(2 * window[0] - 1, 2 * window[1] - 1, heads)
    full = bias().detach()
    assert full.shape == (heads, window[0] * window[1], window[0] * window[1])
    for query, (y, x) in enumerate(tokens_of(window)):
        for key, (other_y, other_x) in enumerate(tokens_of(window)):
            expected = grid[y - other_y + window[0] - 1, x - other_x + window[1] - 1]
            assert torch.equal(full[:, query, key], expected)


def log_spaced(offset: int, trained_on: int) -> float:
    """Equation 4 of the V2 paper for one offset, normalized to [-8, 8] first."""
    scaled = 8 * offset / max(trained_on - 1, 1)
    return math.copysign(math.log2(1 + abs(scaled)) / math.log2(8), scaled)


@given(windows, st.one_of(st.just((0, 0)), windows))
@many
def test_v2_coordinates_by_formula(window: SizeHW, pretrained: SizeHW) -> None:
    coordinates = log_spaced_coordinates(window, pretrained)
    trained_on = window if pretrained == (0, 0) else pretrained
    assert coordinates.shape == (2 * window[0] - 1, 2 * window[1] - 1, 2)
    for y in range(1 - window[0], window[0]):
        for x in range(1 - window[1], window[1]):
            expected = (log_spaced(y, trained_on[0]), log_spaced(x, trained_on[1]))
            given_here = coordinates[y + window[0] - 1, x + window[1] - 1].tolist()
            assert given_here == pytest.approx(expected, abs=1e-6)


def test_v2_coordinates_of_the_own_window_and_beyond() -> None:
    own = log_spaced_coordinates((8, 8))
    assert torch.equal(own, log_spaced_coordinates((8, 8), (8, 8)))
    assert float(own.max()) == pytest.approx(math.log2(9) / 3)
    # A larger window than the trained one extrapolates: the inner offsets keep their places.
    larger = log_spaced_coordinates((16, 16), (8, 8))
    torch.testing.assert_close(larger[8:23, 8:23], own)
    assert float(larger.max()) > float(own.max())


def test_v2_bias_is_sixteen_sigmoids() -> None:
    bias = PositionBiasMLP((2, 3), 4)
    with torch.no_grad():
        rows = 16 * torch.sigmoid(bias.mlp(bias.coordinates))
        assert torch.equal(bias.table_rows(), rows)
    assert float(rows.min()) > 0
    assert float(rows.max()) < 16


def test_eval_without_gradients_keeps_the_constant_of_the_mlp() -> None:
    bias = KINDS["mlp"]().eval()
    with torch.no_grad():
        first = bias.current(torch.float32)
        assert bias.current(torch.float32) is first
        half = bias.current(torch.bfloat16)
        assert bias.current(torch.bfloat16) is half
        assert half.dtype == torch.bfloat16
        first = bias.current(torch.float32)
        assert bias.current(torch.float32) is first
    assert not first.requires_grad
    torch.testing.assert_close(first, bias().detach())
    with torch.inference_mode():
        assert bias.current(torch.float32) is first


def test_the_constant_kept_in_inference_mode_can_enter_autograd() -> None:
    bias = KINDS["mlp"]().eval()
    with torch.inference_mode():
        kept = bias.current(torch.float32)
    factor = torch.ones(1, requires_grad=True)
    (kept * factor).sum().backward()
    assert factor.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_with_gradients_the_bias_is_differentiable(kind: str) -> None:
    bias = KINDS[kind]().eval()
    with torch.no_grad():
        bias.current(torch.float32)
    bias.current(torch.float32).square().sum().backward()
    assert all(parameter.grad is not None for parameter in bias.parameters())


def step(build: Callable[..., torch.optim.Optimizer]) -> Callable[[PositionBias], None]:
    def change(bias: PositionBias) -> None:
        optimizer = build(bias.parameters(), lr=0.5)
        with torch.enable_grad():
            (bias.current(torch.float32) ** 2).sum().backward()
        optimizer.step()

    return change


def write(bias: PositionBias) -> None:
    with torch.no_grad():
        for parameter in bias.parameters():
            parameter.mul_(3.0)


def write_in_inference_mode(bias: PositionBias) -> None:
    with torch.inference_mode():
        for parameter in bias.parameters():
            parameter.mul_(3.0)


def replace(bias: PositionBias) -> None:
    for module in bias.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach() * 3.0))


def load_other(bias: PositionBias, *, assign: bool = False, times: int = 1) -> None:
    for _ in range(times):
        state = {name: torch.randn_like(value) for name, value in bias.state_dict().items()}
        bias.load_state_dict(state, assign=assign)


CHANGES: dict[str, Callable[[PositionBias], None]] = {
    "SGD": step(torch.optim.SGD),
    "AdamW": step(torch.optim.AdamW),
    "fused AdamW": step(lambda params, lr: torch.optim.AdamW(params, lr=lr, fused=True)),
    "in-place write": write,
    "in-place write in inference mode": write_in_inference_mode,
    "new parameters": replace,
    "load_state_dict": load_other,
    "load_state_dict, assigned": lambda bias: load_other(bias, assign=True),
    "load_state_dict, assigned often": lambda bias: load_other(bias, assign=True, times=6),
    "to another type": lambda bias: bias.double() and None,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_constant_is_dropped_when_parameters_change(kind: str, change: str) -> None:
    bias = KINDS[kind]().eval()
    with torch.no_grad():
        before = bias.current(torch.float32).clone()
    for _ in range(3):
        CHANGES[change](bias)
        with torch.no_grad():
            assert torch.equal(bias.current(torch.float32), bias().float())
    if change != "to another type":
        with torch.no_grad():
            assert not torch.equal(bias.current(torch.float32), before)


def test_train_and_eval_drop_the_constant() -> None:
    bias = PositionBiasMLP((2, 2), 1).eval()
    with torch.no_grad():
        bias.current(torch.float32)
        bias.mlp[2].weight.data.fill_(0.0)  # the one write that no counter sees
        bias.eval()
        assert bias.current(torch.float32).eq(8).all()
        bias.train()
        assert bias.current(torch.float32) is not bias.current(torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_does_not_share_the_constant(kind: str) -> None:
    bias = KINDS[kind]().eval()
    with torch.no_grad():
        kept = bias.current(torch.float32).clone()
        twin = copy.deepcopy(bias)
        write(twin)
        assert torch.equal(bias.current(torch.float32), kept)
        assert torch.equal(twin.current(torch.float32), twin())


@pytest.mark.parametrize("kind", KINDS)
def test_derived_tensors_are_not_saved(kind: str) -> None:
    bias = KINDS[kind]().eval()
    names = {name for name, _ in bias.named_parameters()}
    with torch.no_grad():
        bias.current(torch.float32)
    assert set(bias.state_dict()) == names


def test_resize_as_the_official_loader(golden_dir: Path) -> None:
    values = load_file(golden_dir / "bias_table_7_to_12.safetensors")
    table = values["input.relative_position_bias_table"]
    expected = values["out.relative_position_bias_table"]
    ours = resize_bias_table(table, (7, 7), (12, 12))
    assert float((ours - expected).abs().max() / expected.std()) <= 1e-5


def test_resize_keeps_what_bicubic_must_keep() -> None:
    table = torch.randn(5 * 7, 3)
    assert resize_bias_table(table, (3, 4), (3, 4)) is table
    flat = torch.arange(3.0).expand(5 * 7, 3).half()
    resized = resize_bias_table(flat, (3, 4), (5, 2))
    assert resized.shape == (9 * 3, 3)
    assert resized.dtype == torch.float16
    assert torch.equal(resized, torch.arange(3.0).expand(27, 3).half())
    # Rows stay rows: a table that varies by row alone still does after a resize.
    by_row = torch.randn(5, 1, 3).expand(5, 7, 3).reshape(35, 3)
    grid = resize_bias_table(by_row, (3, 4), (5, 6)).view(9, 11, 3)
    torch.testing.assert_close(grid, grid[:, :1].expand_as(grid))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_made_without_memory_gets_its_constants(kind: str) -> None:
    bias = KINDS[kind]()
    with torch.device("meta"):
        empty = KINDS[kind]()
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(bias.state_dict())
    with torch.no_grad():
        assert torch.equal(filled(), bias())
