"""Attention on a CPU against the reference module: values, first and second gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels import linear
from swinkit.windows.kernels.attention import AttentionWeights, attend
from swinkit.windows.shift_mask import WindowGeometry

C, HEADS, TOKENS, WINDOWS, BATCH = 12, 3, 16, 7, 3


def build(version: Any, **settings: Any) -> WindowAttention:
    torch.manual_seed(version)
    module = WindowAttention(C, HEADS, (4, 4), version=version, kernel="reference", **settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def seam_mask(windows: int) -> Tensor | None:
    if windows == 0:
        return None
    chance = torch.rand(windows, TOKENS, TOKENS)
    return torch.where(chance < 0.3, -100.0, 0.0)


def fast(module: WindowAttention, x: Tensor, mask: Tensor | None) -> Tensor:
    geometry = WindowGeometry(x.shape[1], None, mask)
    return attend(x, AttentionWeights.of(module), geometry, module.num_heads)


def gradients(module: nn.Module, out: Tensor, x: Tensor, flow: Tensor) -> dict[str, Tensor]:
    named = {"input": x, **dict(module.named_parameters())}
    found = torch.autograd.grad(out, list(named.values()), flow)
    return dict(zip(named, found, strict=True))


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        worst = (found[name] - value).abs().max() / value.abs().max().clamp_min(1e-6)
        assert worst < 1e-5, name


@pytest.mark.parametrize("by_mkl", [False, torch.backends.mkl.is_available()])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seam", [0, 2, 7])
@pytest.mark.parametrize(("floats", "rows"), [(1, 1), (3 * TOKENS * C, 1), (10**9, 10**9)])
def test_attention_in_pieces_learns_as_the_reference(
    version: int, seam: int, floats: int, rows: int, by_mkl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "TRAINS_BY_MKL", by_mkl)
    monkeypatch.setattr(linear, "PIECE_FLOATS", floats)
    monkeypatch.setattr(linear, "LEAST_ROWS", rows)
    x = torch.randn(BATCH, WINDOWS, TOKENS, C, requires_grad=True)
    mask, flow, module = seam_mask(seam), torch.randn_like(x), build(version)
    expected, out = module(x, mask), fast(module, x, mask)
    assert type(out.grad_fn).__name__ == "_AttentionBackward"
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert_alike(gradients(module, out, x, flow), gradients(module, expected, x, flow))


@pytest.mark.parametrize("seam", [0, 3])
@pytest.mark.parametrize("version", [1, 2])
def test_attention_without_gradients_is_the_reference(version: int, seam: int) -> None:
    x, mask = torch.randn(BATCH, WINDOWS, TOKENS, C), seam_mask(seam)
    module = build(version)
    with torch.no_grad():
        torch.testing.assert_close(fast(module, x, mask), module(x, mask), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_attention_without_qkv_bias_learns(version: int) -> None:
    module = build(version, qkv_bias=False)
    x = torch.randn(1, 2, TOKENS, C, requires_grad=True)
    expected, out, flow = module(x), fast(module, x, None), torch.randn_like(x)
    assert module.qkv.bias is None
    assert_alike(gradients(module, out, x, flow), gradients(module, expected, x, flow))


@pytest.mark.parametrize("version", [1, 2])
def test_gradients_of_gradients_follow_the_reference(version: int) -> None:
    x = torch.randn(1, 3, TOKENS, C, requires_grad=True)
    mask, module = seam_mask(1), build(version)

    def penalty(out: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    expected, found = penalty(module(x, mask)), penalty(fast(module, x, mask))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
