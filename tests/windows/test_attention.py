"""W-MSA, V1 and V2: both kernels against a loop over windows and heads, and each other.

Legend: B batch, nW windows, nS masked windows, T tokens per window, C channels, N heads, d = C / N.
"""

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from swinkit.windows.attention import WindowAttention
from swinkit.windows.position_bias import log_spaced_coordinates

C, N, WINDOW = 12, 3, (2, 3)
KERNELS: tuple[Literal["sdpa", "reference"], ...] = ("sdpa", "reference")


def build(version: Any, kernel: Any, **settings: Any) -> WindowAttention:
    """Strong random weights; one of V2's logit scales beyond the clamp at ln 100."""
    torch.manual_seed(1)
    attention = WindowAttention(C, N, WINDOW, version=version, kernel=kernel, **settings)
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 1.0))
            if name == "logit_scale":
                parameter.copy_(torch.tensor([0.5, 2.0, 6.0]).view(N, 1, 1))
    return attention.eval()


def data(batch: int, masked: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Any]:
    """Windows `B 5 T C` and the mask of the last `masked` of them."""
    torch.manual_seed(2)
    tokens = WINDOW[0] * WINDOW[1]
    windows = torch.randn(batch, 5, tokens, C, dtype=dtype)
    region = torch.randint(0, 2, (masked, tokens))
    apart = region[:, :, None] != region[:, None, :]
    return windows, (-100.0 * apart.to(dtype) if masked else None)


def bias_by_loops(attention: WindowAttention) -> Tensor:
    """`N T T`"""
    height, width = WINDOW
    places = [(y, x) for y in range(height) for x in range(width)]
    if attention.version == 1:
        rows = attention.position_bias.table
    else:
        coordinates = log_spaced_coordinates(WINDOW).view(-1, 2).to(torch.float64)
        rows = 16 / (1 + torch.exp(-attention.position_bias.mlp(coordinates)))
    bias = torch.zeros(N, len(places), len(places), dtype=torch.float64)
    for query, (y, x) in enumerate(places):
        for key, (other_y, other_x) in enumerate(places):
            row = (y - other_y + height - 1) * (2 * width - 1) + (x - other_x + width - 1)
            bias[:, query, key] = rows[row]
    return bias


def by_loops(
    attention: WindowAttention, windows: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The paper's equations one window and head at a time: output and attention weights."""
    bias = bias_by_loops(attention)
    weight = attention.qkv.weight
    if attention.version == 1:
        shift = attention.qkv.bias if attention.qkv.bias is not None else torch.zeros(3 * C)
    elif attention.q_bias is not None:
        shift = torch.cat([attention.q_bias, torch.zeros(C), attention.v_bias])
    else:
        shift = torch.zeros(3 * C)
    batch, count, tokens, _ = windows.shape
    out = torch.zeros_like(windows)
    weights = torch.zeros(batch, count, N, tokens, tokens, dtype=windows.dtype)
    first_masked = count - (0 if mask is None else mask.shape[0])
    for b in range(batch):
        for w in range(count):
            qkv = windows[b, w] @ weight.T + shift
            for n in range(N):
                part = slice(n * C // N, (n + 1) * C // N)
                q, k, v = (qkv[:, i * C : (i + 1) * C][:, part] for i in range(3))
                if attention.version == 1:
                    scores = q @ k.T / math.sqrt(C // N)
                else:
                    scores = (q / q.norm(dim=1, keepdim=True)) @ (k / k.norm(dim=1, keepdim=True)).T
                    scores = scores * min(math.exp(float(attention.logit_scale[n])), 100.0)
                scores = scores + bias[n]
                if mask is not None and w >= first_masked:
                    scores = scores + mask[w - first_masked]
                weights[b, w, n] = scores.softmax(1)
                out[b, w, :, part] = weights[b, w, n] @ v
    return attention.projection(out), weights


@pytest.mark.parametrize("masked", [0, 2, 5])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_loops_in_double(
    kernel: str, version: int, qkv_bias: bool, batch: int, masked: int
) -> None:
    attention = build(version, kernel, qkv_bias=qkv_bias).double()
    windows, mask = data(batch, masked, torch.float64)
    with torch.no_grad():
        expected, weights = by_loops(attention, windows, mask)
        # V2's coordinates are stored in float32.
        tolerance = {"rtol": 1e-6, "atol": 1e-6}
        torch.testing.assert_close(attention(windows, mask), expected, **tolerance)
        torch.testing.assert_close(attention.forward_seen(windows, mask)[2], weights, **tolerance)
    torch.testing.assert_close(attention(windows, mask), expected, **tolerance)


def run(attention: WindowAttention, windows: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """Output, and the gradients of every parameter and the input."""
    windows = windows.clone().requires_grad_()
    out = attention(windows, mask)
    torch.manual_seed(3)
    (out.float() * torch.randn(out.shape)).sum().backward()
    values = {"output": out.detach(), "input": windows.grad}
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None, name
        values[name] = parameter.grad
    return values


def deviation(ours: Tensor, theirs: Tensor, scale: float | None = None) -> float:
    ours, theirs = ours.float(), theirs.float()
    return float((ours - theirs).abs().max()) / (scale or float(theirs.std()))


@pytest.mark.parametrize("masked", [0, 2])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("version", [1, 2])
def test_kernels_agree_forward_and_backward_in_float32(
    version: int, batch: int, masked: int
) -> None:
    windows, mask = data(batch, masked)
    fast = run(build(version, "sdpa"), windows, mask)
    plain = run(build(version, "reference"), windows, mask)
    largest = max(float(value.abs().max()) for value in plain.values())
    for name, value in plain.items():
        scale = None if name == "output" else largest
        assert deviation(fast[name], value, scale) <= 1e-5, name


@pytest.mark.parametrize("masked", [0, 2])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_bfloat16_stays_near_float32(kernel: str, version: int, masked: int) -> None:
    windows, mask = data(3, masked)
    exact = run(build(version, "reference"), windows, mask)
    half_mask = None if mask is None else mask.bfloat16()
    half = run(build(version, kernel).bfloat16(), windows.bfloat16(), half_mask)
    largest = max(float(value.abs().max()) for value in exact.values())
    for name, value in exact.items():
        assert half[name].dtype == torch.bfloat16
        error = (half[name].float() - value).square().mean().sqrt()
        spread = value.std() if name in ("output", "input") else torch.tensor(largest)
        assert float(error / spread) <= 0.1, name


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_autocast_and_no_grad(kernel: str, version: int) -> None:
    attention = build(version, kernel)
    windows, mask = data(2, 2)
    with torch.no_grad():
        exact = attention(windows, mask)
        with torch.autocast("cpu", torch.bfloat16):
            half = attention(windows, mask)
    assert half.dtype == torch.bfloat16
    assert float((half.float() - exact).square().mean().sqrt() / exact.std()) <= 0.1


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_last_windows_are_the_masked_ones(kernel: str) -> None:
    attention = build(1, kernel)
    windows, mask = data(2, 2)
    with torch.no_grad():
        masked, free = attention(windows, mask), attention(windows)
    torch.testing.assert_close(masked[:, :3], free[:, :3])
    assert (masked[:, 3:] - free[:, 3:]).abs().amax((0, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("version", [1, 2])
def test_arguments_are_left_alone(version: int) -> None:
    windows, mask = data(1, 2)
    before, mask_before = windows.clone(), mask.clone()
    with torch.no_grad():
        for kernel in KERNELS:
            build(version, kernel)(windows, mask)
    assert torch.equal(windows, before)
    assert torch.equal(mask, mask_before)


@pytest.mark.parametrize("kernel", KERNELS)
def test_attention_dropout_acts_in_training_only_and_keeps_the_mean(kernel: str) -> None:
    attention = build(1, kernel, attention_dropout=0.3)
    windows, mask = data(1, 2)
    with torch.no_grad():
        exact = attention(windows, mask)
        assert torch.equal(attention(windows, mask), exact)
        attention.train()
        many = attention(windows.expand(4000, -1, -1, -1), mask)
    assert float(many.std(0).max()) > 1e-2
    assert float((many.mean(0) - exact[0]).abs().max()) <= 0.1 * float(exact.std())


@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_a_scale_in_the_query_changes_rounding_alone(version: int, qkv_bias: bool) -> None:
    attention = build(version, "sdpa", qkv_bias=qkv_bias).double().eval()
    windows, _ = data(2, 0, torch.float64)
    with torch.no_grad():
        expected = attention(windows)
        for _ in range(2):  # once is enough
            attention.put_scale_in_query()
            assert torch.allclose(attention(windows), expected, atol=1e-12)
    assert isinstance(attention.scale(), float) == (version == 1)
