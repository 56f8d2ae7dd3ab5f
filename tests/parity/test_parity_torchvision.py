"""torchvision is right at any size whose sides are multiples of the patch."""

import pytest
from checkpoint_peers import torchvision_swin
from comparison import compare

SIZES = [(224, 224), (4, 4), (32, 96), (132, 68), (8, 200), (100, 148), (180, 28)]


@pytest.mark.parametrize("window", [(7, 7), (4, 6), (5, 3)])
@pytest.mark.parametrize("version", [1, 2])
def test_any_size(version: int, window: tuple[int, int]) -> None:
    peer = torchvision_swin(version, window)
    compare(peer, SIZES, lambda model, image: model(image), window_size=window)
