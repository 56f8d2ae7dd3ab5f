"""Pyramid pooling."""

import pytest
import torch

from swinkit.segmentation.network.ppm import PyramidPooling


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 7), (12, 6)])
def test_shapes_at_any_size(size_hw: tuple[int, int]) -> None:
    neck = PyramidPooling(8, 4, (1, 2, 3, 6)).eval()
    maps = torch.randn(2, 8, *size_hw)
    assert neck(maps).shape == (2, 4, *size_hw)
    assert [tuple(pooled.shape[2:]) for pooled in neck.pooled(maps)] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (6, 6),
    ]


def test_every_place_sees_the_whole_map() -> None:
    neck = PyramidPooling(3, 4, (1, 2)).eval()
    maps = torch.rand(1, 3, 16, 16, requires_grad=True)
    neck(maps)[0, :, 0, 0].sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(1) > 0).all()
