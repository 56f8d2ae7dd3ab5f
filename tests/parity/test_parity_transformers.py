"""transformers pads before it rolls, so it is right at odd sizes too, where its window stays."""

from typing import Any

import pytest
from checkpoint_peers import huggingface
from comparison import compare
from torch import Tensor, nn


def logits(model: nn.Module, image: Tensor) -> Tensor:
    return model(image, interpolate_pos_encoding=True).logits


# Every map stays larger than the window: transformers shrinks a window for good in forward.
@pytest.mark.parametrize(
    ("version", "sizes", "settings"),
    [
        (1, [(237, 301), (259, 260), (256, 387)], {"window_size": 7}),
        (2, [(261, 325), (300, 263)], {"window_size": 8, "pretrained_window_size": 0}),
    ],
)
def test_odd_sizes(version: int, sizes: Any, settings: dict[str, Any]) -> None:
    peer = huggingface(version, image_size=256 if version == 1 else 512)
    compare(peer, sizes, logits, **settings)


@pytest.mark.parametrize("version", [1, 2])
def test_nominal_size(version: int) -> None:
    size = 224 if version == 1 else 128
    peer = huggingface(version)
    settings: dict[str, Any] = {"image_size": size}
    if version == 2:
        settings |= {"window_size": 8, "pretrained_window_size": 0}
    compare(peer, [(size, size)], logits, **settings)
