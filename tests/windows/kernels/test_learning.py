"""The CPU paths for training against plain operations: values, first and second gradients."""

import pytest
import torch
from torch import Tensor, nn

from swinkit.backbones.block import MLP
from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels import learning_attention, learning_mlp
from swinkit.windows.kernels.products import cut, is_plain

C, HEADS, TOKENS, WINDOWS, BATCH = 12, 3, 16, 7, 3


def attention(version: int, kernel: str) -> WindowAttention:
    torch.manual_seed(version)
    module = WindowAttention(C, HEADS, (4, 4), version=version, kernel=kernel)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def seam_mask(windows: int) -> Tensor | None:
    if windows == 0:
        return None
    chance = torch.rand(windows, TOKENS, TOKENS)
    return torch.where(chance < 0.3, -100.0, 0.0)


def gradients(module: nn.Module, out: Tensor, x: Tensor, flow: Tensor) -> dict[str, Tensor]:
    named = {"input": x, **dict(module.named_parameters())}
    found = torch.autograd.grad(out, list(named.values()), flow)
    return dict(zip(named, found, strict=True))


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        worst = (found[name] - value).abs().max() / value.abs().max().clamp_min(1e-6)
        assert worst < 1e-5, name


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seam", [0, 2, 7])
@pytest.mark.parametrize(("scores", "rows"), [(1, 1), (3 * 768, 1), (10**9, 10**9)])
def test_attention_in_pieces_learns_as_the_reference(
    version: int, seam: int, scores: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_attention, "PIECE_SCORES", scores)
    monkeypatch.setattr(learning_attention, "PIECE_ROWS", rows)
    x = torch.randn(BATCH, WINDOWS, TOKENS, C, requires_grad=True)
    mask, flow = seam_mask(seam), torch.randn_like(x)
    reference, own = attention(version, "reference"), attention(version, "auto")
    expected, out = reference(x, mask), own(x, mask)
    assert type(out.grad_fn).__name__ == "_AttentionBranchBackward"
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert_alike(gradients(own, out, x, flow), gradients(reference, expected, x, flow))


@pytest.mark.parametrize("version", [1, 2])
def test_attention_without_gradients_is_the_reference(version: int) -> None:
    x, mask = torch.randn(BATCH, WINDOWS, TOKENS, C), seam_mask(3)
    with torch.no_grad():
        expected = attention(version, "reference")(x, mask)
        found = attention(version, "auto")(x, mask)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_attention_without_qkv_bias_learns() -> None:
    own = WindowAttention(C, HEADS, (4, 4), qkv_bias=False)
    x = torch.randn(1, 2, TOKENS, C)
    own(x).sum().backward()
    assert own.qkv.bias is None
    assert own.qkv.weight.grad is not None
    assert own.qkv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("version", [1, 2])
def test_gradients_of_gradients_follow_the_reference(version: int) -> None:
    x = torch.randn(1, 3, TOKENS, C, requires_grad=True)
    mask = seam_mask(1)

    def penalty(module: nn.Module) -> Tensor:
        (slope,) = torch.autograd.grad(module(x, mask).square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    expected = penalty(attention(version, "reference"))
    found = penalty(attention(version, "auto"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("hidden", [1, 100, 10**9])
def test_mlp_in_pieces_learns_as_its_layers(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_mlp, "PIECE_HIDDEN", hidden)
    monkeypatch.setattr(learning_mlp, "PIECE_ROWS", 3)
    mlp = MLP(C, 4 * C, dropout=0.0)
    x = torch.randn(2, 11, C, requires_grad=True)
    flow = torch.randn_like(x)
    plain = mlp.fc2(nn.functional.gelu(mlp.fc1(x)))
    out = mlp(x)
    assert "_MLPBackward" in str(out.grad_fn) or "View" in str(out.grad_fn)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    assert_alike(gradients(mlp, out, x, flow), gradients(mlp, plain, x, flow))
    (slope,) = torch.autograd.grad(mlp(x).square().sum(), x, create_graph=True)
    assert torch.autograd.grad(slope.sum(), x)[0].abs().max() > 0


def test_a_watched_layer_is_called() -> None:
    layer, tokens = nn.Linear(C, C), torch.randn(3, C)
    assert is_plain(layer, tokens)
    assert not is_plain(layer, tokens.double())
    assert not is_plain(nn.Identity(), tokens)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_plain(layer, tokens)
    layer.register_forward_hook(lambda *_: None)
    assert not is_plain(layer, tokens)


def test_per_sample_gradients_of_torch_func_work() -> None:
    mlp = MLP(C, 2 * C, dropout=0.0)
    parameters = {name: value.detach() for name, value in mlp.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(mlp, weights, (x,)).sum()

    samples = torch.randn(4, 5, C)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, samples)
    mlp(samples).sum().backward()
    assert mlp.fc1.weight.grad is not None
    torch.testing.assert_close(each["fc1.weight"].sum(0), mlp.fc1.weight.grad)


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
