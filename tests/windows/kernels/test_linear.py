"""The fused product and the MLP in pieces give what linear and GELU give; work is cut exactly once.

Legend: R rows, C channels in, D channels out.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.windows.kernels import linear
from swinkit.windows.kernels.linear import cut, mlp, product, product_into, product_of_kept

C, HIDDEN = 12, 48
ACTIVATIONS: tuple[Literal["none", "gelu"], ...] = ("none", "gelu")


def plain_product(tokens: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    out = F.linear(tokens, weight, bias)
    return F.gelu(out) if activation == "gelu" else out


def plain_mlp(
    tokens: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    return F.linear(F.gelu(F.linear(tokens, weight1, bias1)), weight2, bias2)


def mlp_inputs(*shape: int) -> list[Tensor]:
    shapes = [(*shape, C), (HIDDEN, C), (HIDDEN,), (C, HIDDEN), (C,)]
    return [(torch.randn(size) * 0.5).requires_grad_() for size in shapes]


def assert_alike(found: Any, expected: Any) -> None:
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        worst = (ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6)
        assert worst < 1e-5, number


@pytest.fixture(params=[True, False], ids=["MKL", "oneDNN"], autouse=True, scope="module")
def library(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whose products train, whatever the processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "TRAINS_BY_MKL", request.param and torch.backends.mkl.is_available())
        yield


@given(
    rows=st.integers(1, 50),
    channels=st.integers(1, 33),
    out=st.integers(1, 40),
    biased=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
)
@settings(max_examples=100, deadline=None)
def test_product_equals_linear_and_gelu(
    rows: int, channels: int, out: int, biased: bool, activation: Any
) -> None:
    tokens, weight = torch.randn(rows, channels), torch.randn(out, channels)
    bias = torch.randn(out) if biased else None
    by_column = tokens.T.contiguous().T, weight.T.contiguous().T, bias
    written = torch.empty(rows, out)
    with torch.no_grad():
        product_into(written, tokens, weight, bias)
        trained = [product(tokens, weight, bias), product(*by_column), written]
        inferred = product_of_kept(tokens, weight, bias, activation)
    for found in trained:
        expected = F.linear(tokens, weight, bias)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    expected = plain_product(tokens, weight, bias, activation)
    torch.testing.assert_close(inferred, expected, rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_mlp_equals_its_layers(shape: list[int]) -> None:
    inputs = mlp_inputs(*shape)
    expected = plain_mlp(*inputs)
    torch.testing.assert_close(mlp(*inputs), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(mlp(*inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("floats", [1, 100, 10**9])
def test_mlp_in_pieces_learns_as_its_layers(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "PIECE_FLOATS", floats)
    monkeypatch.setattr(linear, "LEAST_ROWS", 3)
    inputs = mlp_inputs(2, 11)
    flow = torch.randn(2, 11, C)
    expected, out = plain_mlp(*inputs), mlp(*inputs)
    assert "_MLPBackward" in str(out.grad_fn) or "View" in str(out.grad_fn)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert_alike(
        torch.autograd.grad(out, inputs, flow), torch.autograd.grad(expected, inputs, flow)
    )


def test_gradients_of_the_gradients_of_the_mlp() -> None:
    inputs = mlp_inputs(2, 11)

    def penalty(function: Any) -> Any:
        slopes = torch.autograd.grad(function(*inputs).square().sum(), inputs, create_graph=True)
        return torch.autograd.grad(sum(slope.square().sum() for slope in slopes), inputs)

    assert_alike(penalty(mlp), penalty(plain_mlp))


def test_only_gradients_that_are_needed_are_given() -> None:
    tokens, *weights = mlp_inputs(2, 3)
    out = mlp(tokens.detach(), *weights)
    (slope,) = torch.autograd.grad(out.square().sum(), weights[:1], create_graph=True)
    assert slope.requires_grad


@pytest.mark.parametrize("most", [0, 1, 3, 5, 50, 10**6])
@pytest.mark.parametrize(("batch", "count"), [(1, 1), (1, 7), (3, 5), (5, 12)])
def test_pieces_cover_every_window_once(batch: int, count: int, most: int) -> None:
    seen = torch.zeros(batch, count, dtype=torch.long)
    for rows, first, last in cut(batch, count, most):
        assert first < last <= count
        images = len(range(*rows.indices(batch)))
        assert images * (last - first) <= max(most, 1)
        seen[rows, first:last] += 1
    assert seen.eq(1).all()
