"""The fused product gives what linear and GELU give, wherever it is chosen and wherever it is not.

Legend: B batch, P slots, C channels in, D channels out.
"""

from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from swinkit.windows.linear import linear as apply_linear

ACTIVATIONS: tuple[Literal["none", "gelu"], ...] = ("none", "gelu")


def layer_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None, activation: Any = "none") -> Tensor:
    return apply_linear(layer_of(weight, bias), tokens, activation)


def test_hooks_and_wrapped_layers_are_heard() -> None:
    tokens, layer, heard = torch.randn(3, 8), nn.Linear(8, 5), []
    handle = layer.register_forward_hook(lambda *_: heard.append(1))
    with torch.no_grad():
        hooked = apply_linear(layer, tokens)
        handle.remove()
        doubled = apply_linear(nn.Sequential(layer, nn.Linear(5, 5)), tokens)
    assert heard == [1]
    torch.testing.assert_close(hooked, F.linear(tokens, layer.weight, layer.bias))
    assert doubled.shape == (3, 5)


def plain(tokens: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    product = F.linear(tokens, weight, bias)
    return F.gelu(product) if activation == "gelu" else product


@pytest.mark.parametrize("gradients", [True, False])
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    channels=st.integers(1, 33),
    out=st.integers(1, 40),
    biased=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
)
@settings(max_examples=60, deadline=None)
def test_equals_linear_and_gelu(
    gradients: bool, shape: list[int], channels: int, out: int, biased: bool, activation: Any
) -> None:
    tokens, weight = torch.randn(*shape, channels), torch.randn(out, channels)
    bias = torch.randn(out) if biased else None
    with torch.set_grad_enabled(gradients):
        ours = linear(tokens, weight, bias, activation)
    torch.testing.assert_close(ours, plain(tokens, weight, bias, activation), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_take_the_plain_path(dtype: torch.dtype, activation: Any) -> None:
    tokens, weight, bias = (torch.randn(s, dtype=dtype) for s in [(2, 3, 8), (5, 8), (5,)])
    with torch.no_grad():
        ours = linear(tokens, weight, bias, activation)
    assert torch.equal(ours, plain(tokens, weight, bias, activation))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_views_and_autocast(activation: Any) -> None:
    tokens, weight, bias = torch.randn(8, 6, 4).transpose(0, 2), torch.randn(5, 8), torch.randn(5)
    with torch.no_grad():
        ours = linear(tokens, weight, bias, activation)
        strided = linear(tokens, weight.T.contiguous().T, bias, activation)
        with torch.autocast("cpu", torch.bfloat16):
            half = linear(tokens, weight, bias, activation)
    expected = plain(tokens, weight, bias, activation)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(strided, expected, rtol=1e-4, atol=1e-5)
    assert half.dtype == torch.bfloat16


def test_gradients_flow() -> None:
    tokens, weight, bias = (
        torch.randn(s, dtype=torch.float64, requires_grad=True) for s in [(2, 3, 4), (5, 4), (5,)]
    )
    layer = nn.Linear(4, 5, dtype=torch.float64)

    def call(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        values = {"weight": weight, "bias": bias}
        with torch.nn.utils.stateless._reparametrize_module(layer, values):
            return apply_linear(layer, tokens, "gelu")

    assert torch.autograd.gradcheck(call, (tokens, weight, bias))
