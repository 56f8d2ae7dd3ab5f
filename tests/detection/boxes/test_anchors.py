"""Anchors: order, sizes, which of them train, and how long grids are kept."""

import copy

import pytest
import torch

from swinkit.detection.boxes.anchors import KEPT_GRIDS, AnchorGrid, octave_scales


def test_order_is_row_column_ratio_scale() -> None:
    grid = AnchorGrid((8,), scales=(4, 8), ratios=(0.5, 2.0))
    [anchors] = grid([(2, 3)])
    assert anchors.shape == (2 * 3 * 4, 4)
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    expected = [[x * 8.0, y * 8.0] for y in range(2) for x in range(3) for _ in range(4)]
    assert torch.allclose(centers, torch.tensor(expected), atol=1e-5)
    sides = anchors[:4, 2:] - anchors[:4, :2]
    assert torch.allclose(sides[:, 1] / sides[:, 0], torch.tensor([0.5, 0.5, 2.0, 2.0]))
    assert torch.allclose(sides.prod(1).sqrt(), torch.tensor([32.0, 64.0, 32.0, 64.0]))


def test_octave_scales() -> None:
    assert octave_scales() == pytest.approx((4.0, 5.0396842, 6.3496042))
    assert AnchorGrid((8,), octave_scales()).anchors_per_place == 9


def test_grids_are_kept_but_not_for_ever_and_not_in_copies() -> None:
    grid = AnchorGrid((4, 8))
    first = grid([(3, 5), (2, 3)])
    assert grid([[3, 5], [2, 3]]) is first
    assert not copy.deepcopy(grid)._grids
    for width in range(KEPT_GRIDS):
        grid([(3, width + 10), (2, 3)])
    assert len(grid._grids) == KEPT_GRIDS
    assert grid([(3, 5), (2, 3)]) is not first


def test_anchors_that_train() -> None:
    grid = AnchorGrid((16, 32), scales=(1,), ratios=(1,))
    sizes = [(6, 6), (3, 3)]
    every = grid.inside(sizes, (90, 90))
    assert every.all()
    # 40 x 50 pixels are padded to 64 x 64: 4 x 4 places of 16, 2 x 2 of 32.
    own = grid.inside(sizes, (40, 50))
    assert own[:36].view(6, 6).sum() == 16
    assert own[:36].view(6, 6)[:4, :4].all()
    assert own[36:].view(3, 3)[:2, :2].all()
    assert own.sum() == 20
    # A border of 0 also takes what touches the edge of the image itself.
    strict = grid.inside(sizes, (40, 50), border=0)
    anchors = torch.cat(grid(sizes))
    within = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < 50) & (anchors[:, 3] < 40)
    assert torch.equal(strict, within & own)
    assert torch.equal(grid.inside(sizes, (40, 50), border=1000), own)
