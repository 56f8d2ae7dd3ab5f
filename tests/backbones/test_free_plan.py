"""Compiled networks: plans of any size outside the graph, and a block as one operation of it."""

from typing import Any

import pytest
import torch
from torch import nn

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.backbones.swin import SwinBackbone

SIZES = ((30, 21), (24, 40), (97, 61), (33, 70), (26, 50))
SMALL = ((5, 3), (16, 16))  # one window, or as many rows as columns: other graphs, or the same


class Counted:
    """A backend that runs graphs as they are and keeps them."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        self.graphs.append(graph)
        return graph.forward

    def operations(self) -> list[str]:
        return [str(node.target) for graph in self.graphs for node in graph.graph.nodes]


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def network(rule: SmallMapRule = "keep", version: Any = 1) -> nn.Module:
    torch.manual_seed(0)
    config = SwinConfig(
        version=version,
        embed_dim=16,
        depths=(2, 1),
        num_heads=(1, 2),
        window_size=4,
        patch_size=2,
        norm_stages=(0, 1),
        small_map_rule=rule,
    )
    return SwinBackbone(config).eval()


@pytest.mark.parametrize(
    ("rule", "version"), [("keep", 1), ("shrink_both", 2), ("shrink_per_axis", 1)]
)
def test_two_graphs_serve_every_size(rule: SmallMapRule, version: int) -> None:
    """The first is for the first size, the second for all."""
    model, backend = network(rule, version), Counted()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for size in SIZES:
        assert_same(model, compiled, size)
    assert len(backend.graphs) == 2
    assert sum("plan_stages" in name for name in backend.operations()) == 1
    for size in SMALL:
        assert_same(model, compiled, size)


def assert_same(model: nn.Module, compiled: Any, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        for ours, plain in zip(compiled(images), model(images), strict=True):
            assert torch.allclose(ours, plain, atol=1e-5), size


def test_gradients_at_any_size() -> None:
    model = network()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    weight = model.get_parameter("stages.0.blocks.1.attention.qkv.weight")
    for size in ((30, 21), (13, 40)):
        images, found = torch.randn(2, 3, *size), []
        for run in (compiled, model):
            model.zero_grad()
            run(images)[-1].square().sum().backward()
            found.append(weight.grad)
        assert torch.allclose(*found, rtol=1e-3, atol=1e-4), size


def test_a_block_is_one_operation_of_inference_alone() -> None:
    model, backend = network(), Counted()
    compiled, images = torch.compile(model, backend=backend), torch.randn(1, 3, 24, 24)
    with torch.no_grad():
        compiled(images)
        assert sum("infer_block" in name for name in backend.operations()) == 3
        with torch.autocast("cpu", torch.bfloat16):
            compiled(images)
    compiled(images)
    assert len(backend.graphs) == 3
    assert sum("infer_block" in name for name in backend.operations()) == 3


def test_weights_that_change_count_in_a_compiled_network() -> None:
    model = network()
    compiled, images = torch.compile(model, backend="aot_eager"), torch.randn(1, 3, 24, 24)
    with torch.no_grad():
        before = compiled(images)[-1].clone()
        model.get_parameter("stages.0.blocks.0.mlp.fc1.weight").mul_(2.0)
        after = compiled(images)[-1]
        assert not torch.allclose(before, after, atol=1e-4)
        assert torch.allclose(after, model(images)[-1], atol=1e-5)
