"""Which shift remains on small maps, and what a stage's plan holds."""

from typing import Any

import pytest
import torch

from swinkit.backbones.stage import plan_stage, shift_for

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "rule", "shift"),
    [
        ((14, 14), "shrink_both", (3, 3)),
        ((7, 7), "shrink_both", (0, 0)),
        ((7, 14), "shrink_both", (0, 0)),
        ((14, 3), "shrink_both", (0, 0)),
        ((8, 8), "shrink_both", (3, 3)),
        ((14, 14), "shrink_per_axis", (3, 3)),
        ((7, 14), "shrink_per_axis", (0, 3)),
        ((14, 3), "shrink_per_axis", (3, 0)),
        ((5, 5), "shrink_per_axis", (0, 0)),
        ((14, 14), "keep", (3, 3)),
        ((7, 14), "keep", (3, 3)),
        ((1, 1), "keep", (3, 3)),
    ],
)
def test_shift_by_rule(size: tuple[int, int], rule: Any, shift: tuple[int, int]) -> None:
    assert shift_for(size, (7, 7), rule) == shift


def test_rectangular_windows_shift_by_their_own_halves() -> None:
    assert shift_for((20, 20), (4, 7), "shrink_both") == (2, 3)
    assert shift_for((4, 20), (4, 7), "shrink_per_axis") == (0, 3)
    assert shift_for((9, 9), (1, 1), "keep") == (0, 0)


def test_only_what_is_needed_is_planned() -> None:
    exact = plan_stage((8, 8), (4, 4), 2, "keep", None, CPU)
    assert exact.geometries[0].padding is None
    assert exact.geometries[0].mask is None
    assert exact.geometries[1].mask is not None
    assert exact.geometries[1].mask.shape == (3, 16, 16)
    small = plan_stage((4, 4), (4, 4), 2, "shrink_both", None, CPU)
    assert small.turns is None
    assert small.geometries[1].mask is None
    odd = plan_stage((9, 8), (4, 4), 2, "shrink_both", None, CPU)
    assert odd.geometries[0].padding is not None
    assert int(odd.geometries[0].padding.sum()) == 3 * 8


@pytest.mark.parametrize(("depth", "shift"), [(1, (0, 0)), (2, (2, 2)), (3, (0, 0))])
def test_the_last_block_decides_the_last_layout(depth: int, shift: tuple[int, int]) -> None:
    assert plan_stage((8, 8), (4, 4), depth, "keep", None, CPU).last.shift_hw == shift
