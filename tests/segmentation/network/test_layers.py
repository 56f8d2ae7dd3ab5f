"""Convolution with norm, folded and as it is; the auxiliary head."""

import pytest
import torch
from torch import nn

from swinkit.segmentation.network.layers import ConvNorm, FCNHead


def brick(kernel: int = 3, stride: int = 1) -> ConvNorm:
    layer = ConvNorm(5, 6, kernel, stride)
    for value in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
        assert value is not None
        nn.init.normal_(value)
    assert layer.norm.running_var is not None
    nn.init.uniform_(layer.norm.running_var, 0.5, 2)
    return layer.eval()


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_folding_changes_nothing(kernel: int, stride: int) -> None:
    layer, maps = brick(kernel, stride), torch.randn(2, 5, 7, 9)
    with torch.no_grad():
        assert layer.can_fold(maps)
        folded = layer(maps)
    plain = torch.relu(layer.norm(layer.conv(maps)))
    assert torch.allclose(folded, plain, atol=1e-5)
    assert torch.equal(layer(maps), plain)


def test_no_folding_where_its_steps_matter() -> None:
    layer, maps = brick(), torch.randn(2, 5, 7, 9)
    assert not layer.can_fold(maps)  # gradients
    with torch.no_grad():
        assert not layer.train().can_fold(maps)
        layer.eval()
        with torch.autocast("cpu", torch.bfloat16):
            assert not layer.can_fold(maps)
        seen = []
        handle = layer.norm.register_forward_hook(lambda *args: seen.append(1))
        layer(maps)
        handle.remove()
    assert seen == [1]


def test_training_moves_the_statistics() -> None:
    layer = brick().train()
    assert layer.norm.running_mean is not None
    before = layer.norm.running_mean.clone()
    with torch.no_grad():
        layer(torch.randn(2, 5, 7, 9))
    assert not torch.equal(before, layer.norm.running_mean)


def test_dropout_acts_in_training_only() -> None:
    head = FCNHead(4, 8, 3, num_convs=2, dropout=0.5)
    maps = torch.randn(2, 4, 6, 6)
    assert not torch.equal(head(maps), head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))
    assert len(head.convs) == 2
