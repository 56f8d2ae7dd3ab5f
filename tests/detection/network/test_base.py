"""Feature pyramid: sizes, extra levels, gradients."""

import pytest
import torch
from torch import nn

from swinkit.detection.network.base import FPN
from swinkit.errors import ConfigError


def maps(widths: tuple[int, ...], side: int = 27) -> list[torch.Tensor]:
    found = []
    for width in widths:
        found.append(torch.randn(2, width, side, side + 2))
        side = (side + 1) // 2
    return found


def test_odd_maps_keep_their_sizes_and_p6_takes_every_second_place() -> None:
    levels = maps((4, 8, 16))
    outputs = FPN((4, 8, 16), 6, 5)(levels)
    assert [tuple(level.shape[1:]) for level in outputs[:3]] == [
        (6, *level.shape[2:]) for level in levels
    ]
    assert torch.equal(outputs[3], outputs[2][..., ::2, ::2])
    assert torch.equal(outputs[4], nn.functional.max_pool2d(outputs[3], 1, 2))


def test_the_top_reaches_every_level_and_the_bottom_none_above() -> None:
    levels = [level.requires_grad_() for level in maps((4, 8, 16))]
    outputs = FPN((4, 8, 16), 6, 3)(levels)
    outputs[0].sum().backward(retain_graph=True)
    assert all(level.grad is not None and level.grad.any() for level in levels)
    for level in levels:
        level.grad = None
    outputs[2].sum().backward()
    assert [level.grad is not None and bool(level.grad.any()) for level in levels] == [
        False,
        False,
        True,
    ]


def test_top_down_by_hand() -> None:
    fpn = FPN((1, 1), 1, 2)
    for layer in fpn.lateral:
        nn.init.ones_(layer.weight)
    for layer in fpn.output:
        nn.init.dirac_(layer.weight)
    fine, coarse = torch.zeros(1, 1, 3, 4), torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4]]
    assert fpn([fine, coarse])[0][0, 0].tolist() == expected


def test_retina_pyramid_goes_on_with_convolutions() -> None:
    fpn = FPN((8, 16), 6, 4, extra="conv")
    levels = maps((8, 16))
    outputs = fpn(levels)
    assert torch.equal(outputs[2], fpn.extra[0](levels[-1]))
    assert torch.equal(outputs[3], fpn.extra[1](outputs[2]))
    assert outputs[3].shape[-2:] == (4, 4)
    names = set(fpn.state_dict())
    assert {"lateral.0.weight", "output.1.bias", "extra.0.weight", "extra.1.weight"} <= names


def test_biases_start_at_zero_and_weights_within_xavier() -> None:
    fpn = FPN((8, 16), 6, 3, extra="conv")
    for layer in (*fpn.lateral, *fpn.output, *fpn.extra):
        assert not layer.bias.any()
        out, into, *kernel = layer.weight.shape
        limit = (6 / ((out + into) * kernel[0] * kernel[1])) ** 0.5
        assert 0.9 * limit < layer.weight.abs().max() <= limit


def test_fewer_levels_than_maps() -> None:
    with pytest.raises(ConfigError, match="a pyramid of 1 levels"):
        FPN((4, 8), 6, 1)
