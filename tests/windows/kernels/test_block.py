"""The fast block equals the reference block, and steps aside where it must.

Legend: B batch, C channels, P slots, T tokens per window.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swinkit.backbones.block import SwinBlock
from swinkit.windows.attention import WindowAttention
from swinkit.windows.kernels import linear
from swinkit.windows.kernels.block import fast_block
from swinkit.windows.layout import WindowLayout
from swinkit.windows.shift_mask import WindowGeometry

C = 8
LAYOUTS = {
    "plain": ((8, 12), (4, 4), (0, 0)),
    "shifted": ((8, 12), (4, 4), (2, 2)),
    "padded": ((7, 9), (4, 4), (0, 0)),
    "padded and shifted": ((7, 9), (4, 3), (2, 1)),
    "shifted on one axis": ((9, 4), (4, 4), (2, 0)),
    "one window": ((3, 3), (4, 4), (0, 0)),
}
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def build(version: Any = 1, window: tuple[int, int] = (4, 4), **settings: Any) -> SwinBlock:
    own = {"mlp_ratio": 2.0, "drop_path_rate": settings.pop("drop_path_rate", 0.0)}
    attention = WindowAttention(C, 2, window, version=version, **settings)
    block = SwinBlock(attention, dropout=settings.get("dropout", 0.0), **own)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


def reference(block: SwinBlock, tokens: Tensor, geometry: WindowGeometry) -> Tensor:
    """What the paper's equations give; stochastic depth is not drawn."""
    tokens = tokens + block.attention_branch(tokens, geometry)
    return tokens + block.mlp_branch(tokens)


def case(name: str = "padded and shifted", batch: int = 2) -> tuple[Tensor, WindowGeometry]:
    layout = WindowLayout.of(*LAYOUTS[name])
    return torch.randn(batch, layout.num_slots, C), WindowGeometry.of(layout)


@pytest.mark.parametrize("floats", [1, 4 * 16 * C, 7 * 16 * C, 20 * 16 * C, 10**9])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("name", LAYOUTS)
@VERSIONS
def test_inference_in_pieces_equals_the_reference(
    version: int, name: str, batch: int, floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "PIECE_FLOATS", floats)
    monkeypatch.setattr(linear, "LEAST_ROWS", 1)
    block = build(version, LAYOUTS[name][1])
    tokens, geometry = case(name, batch)
    before = tokens.clone()
    with torch.no_grad():
        found = fast_block(block, tokens, geometry)
        expected = reference(block, tokens, geometry)
    assert torch.equal(tokens, before)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_and_autocast_are_the_references(dtype: torch.dtype, gradients: bool) -> None:
    block = build()
    tokens, geometry = case("plain")
    with torch.set_grad_enabled(gradients):
        with torch.autocast("cpu", torch.bfloat16):
            assert fast_block(block, tokens, geometry) is None
        assert fast_block(block, tokens, geometry) is not None
        assert fast_block(block, tokens.to(dtype), geometry) is None
        assert fast_block(block.to(dtype), tokens, geometry) is None


@pytest.mark.parametrize("name", LAYOUTS)
@VERSIONS
def test_training_follows_the_reference(version: int, name: str) -> None:
    block = build(version, LAYOUTS[name][1]).train()
    tokens, geometry = case(name)
    wanted = [tokens.requires_grad_(), *block.parameters()]
    found, expected = fast_block(block, tokens, geometry), reference(block, tokens, geometry)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    flow = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(out, wanted, flow) for out in (found, expected))
    for own, other in zip(ours, theirs, strict=True):
        assert float((own - other).abs().max()) <= 1e-5 * max(float(other.abs().max()), 1.0)


@pytest.mark.parametrize("name", LAYOUTS)
@VERSIONS
def test_frozen_weights_get_no_gradient_and_change_no_other(version: int, name: str) -> None:
    block = build(version, LAYOUTS[name][1]).train()
    tokens, geometry = case(name)
    flow, found = torch.randn_like(tokens), []
    for learns in (True, False):
        own = tokens.clone().requires_grad_()
        out = fast_block(block.requires_grad_(learns), own, geometry)
        assert out is not None
        out.backward(flow)
        found.append(own.grad)
        assert all((one.grad is not None) == learns for one in block.parameters())
        block.zero_grad()
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
def test_a_kernel_that_was_asked_for_is_used(kernel: Any) -> None:
    with torch.no_grad():
        assert fast_block(build(kernel=kernel), *case("plain")) is None


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("rate", ["dropout", "attention_dropout"])
def test_dropout_is_drawn_by_the_reference(rate: str, gradients: bool) -> None:
    block = build(**{rate: 0.5})
    with torch.set_grad_enabled(gradients):
        assert fast_block(block, *case("plain")) is not None
        assert fast_block(block.train(), *case("plain")) is None


@VERSIONS
def test_stochastic_depth_acts_in_training_without_gradients_too(version: int) -> None:
    block = build(version, drop_path_rate=0.5)
    tokens, geometry = case("shifted", batch=64)
    with torch.no_grad():
        torch.testing.assert_close(block(tokens, geometry), reference(block, tokens, geometry))
        dropped = block.train()(tokens, geometry)
    kept_as_it_was = (dropped == tokens).flatten(1).all(1)
    # A quarter of the images loses both branches.
    assert 4 <= int(kept_as_it_was.sum()) <= 32


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize(
    "place", ["norm1", "attention", "attention.qkv", "attention.projection", "mlp", "mlp.fc2"]
)
def test_a_hook_is_called_once_and_sees_everything(place: str, gradients: bool) -> None:
    block, seen = build(), []
    tokens, geometry = case("plain", batch=3)
    with torch.set_grad_enabled(gradients):
        expected = block(tokens, geometry)
        module = block.get_submodule(place)
        module.register_forward_hook(lambda _module, _inputs, out: seen.append(out.numel()))
        torch.testing.assert_close(block(tokens, geometry), expected, rtol=1e-5, atol=1e-5)
    assert len(seen) == 1
    assert seen[0] % tokens.numel() == 0


class Twice(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any) -> Tensor:
        return 2 * self.module(*inputs)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize(
    "place", ["attention", "attention.qkv", "attention.projection", "mlp", "mlp.fc1", "mlp.gelu"]
)
def test_a_replaced_layer_is_used(place: str, gradients: bool) -> None:
    block = build()
    tokens, geometry = case("plain")
    parent, _, name = place.rpartition(".")
    holder = block.get_submodule(parent)
    setattr(holder, name, Twice(getattr(holder, name)))
    if place == "attention.projection":
        holder.scale = lambda: 0.5
    with torch.set_grad_enabled(gradients):
        found, expected = block(tokens, geometry), reference(block, tokens, geometry)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found, build()(tokens, geometry))


def test_an_empty_batch() -> None:
    tokens, geometry = case("plain", batch=0)
    assert build()(tokens, geometry).shape == tokens.shape


def test_per_sample_gradients_of_torch_func_work() -> None:
    block = build(1, (4, 3))
    parameters = {name: value.detach() for name, value in block.named_parameters()}
    samples, geometry = case("padded and shifted", batch=4)

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(block, weights, (x[None], geometry)).sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, samples)
    block(samples, geometry).sum().backward()
    assert block.mlp.fc1.weight.grad is not None
    torch.testing.assert_close(
        each["mlp.fc1.weight"].sum(0), block.mlp.fc1.weight.grad, rtol=1e-4, atol=1e-4
    )
