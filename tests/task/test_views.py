"""Sizes of the views of an image."""

import pytest

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.task.views import TestAugmentation


def test_sizes_of_the_views() -> None:
    fit = Fit(short_side=64, long_side=96)
    assert TestAugmentation().sizes(fit, (100, 120)) == [(64, 77)]
    views = TestAugmentation(short_sides=(32, 128))
    assert views.sizes(fit, (100, 120)) == [(32, 38), (128, 154)]
    assert views.sizes(fit, (100, 900)) == [(11, 96), (21, 192)], "long sides up to 96 and 192"
    longer = TestAugmentation(short_sides=(32,), long_side=200)
    assert longer.sizes(fit, (100, 900)) == [(22, 200)]
    free = Fit(short_side=None, long_side=None)
    assert views.sizes(free, (100, 900)) == [(32, 288), (128, 1152)]
    scales = TestAugmentation(scales=(0.5, 1.5))
    assert scales.sizes(fit, (100, 900)) == [(5, 48), (16, 144)]
    assert scales.sizes(free, (11, 20)) == [(6, 10), (17, 30)]


@pytest.mark.parametrize(
    "changes",
    [
        {"short_sides": (0,)},
        {"flip": False},
        {"long_side": 0},
        {"scales": (0.0,)},
        {"scales": (1.0,), "flip": False},
        {"scales": (0.5,), "short_sides": (32,)},
    ],
)
def test_refuses_views_that_are_none(changes: dict) -> None:
    with pytest.raises(ConfigError):
        TestAugmentation(**changes)
