"""A sliding window on models whose answer is known."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ways import FILTERS, as_image, plain_slide, toy, window_over
from torch import Tensor
from upernet_peers import shake_norms, small_config

from swinkit.errors import ConfigError
from swinkit.segmentation.network.segmenter import SegmentationNetwork
from swinkit.segmentation.sliding import coverage, spans

SIDES = st.tuples(st.integers(4, 25), st.integers(4, 25))
WINDOWS = st.tuples(st.integers(2, 12), st.integers(2, 12))


@pytest.fixture(scope="module")
def small() -> SegmentationNetwork:
    torch.manual_seed(0)
    model = SegmentationNetwork(small_config())
    shake_norms(model)
    return model.eval()


@pytest.mark.parametrize("window_hw", [(40, 52), (64, 52), (500, 500)])
def test_a_window_as_large_as_the_image_is_the_whole_image(
    small: SegmentationNetwork, window_hw: tuple[int, int]
) -> None:
    image = torch.randn(3, 40, 52)
    with torch.inference_mode():
        whole = small(image[None])[0]
        assert torch.equal(window_over(small, image, window_hw, (10, 10)).logits(), whole)


@given(length=st.integers(1, 60), window=st.integers(1, 30), stride=st.integers(1, 30))
def test_windows_cover_every_place(length: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    found = spans(length, window, stride)
    counts = coverage(length, window, stride)
    assert counts.min() >= 1
    assert all(last - first == min(window, length) for first, last in found)
    firsts = [first for first, _ in found]
    assert firsts == sorted(set(firsts))


def test_windows_are_averaged_before_softmax() -> None:
    image = torch.randn(3, 6, 9)
    ours = window_over(toy, image, (6, 6), (6, 3)).logits()
    total = torch.zeros(5, 6, 9)
    for left in (0, 3):
        total[..., left : left + 6] += toy(image[None, :, :, left : left + 6])[0]
    total[..., 3:6] /= 2
    assert torch.allclose(ours, total, atol=1e-6)


def ordered(span: tuple[int, int]) -> bool:
    return span[0] < span[1]


@settings(max_examples=60, deadline=None)
@given(
    size=SIDES,
    window=WINDOWS,
    stride=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    batch=st.integers(1, 3),
    data=st.data(),
)
def test_pieces_are_the_average_of_all_windows(
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    batch: int,
    data: st.DataObject,
) -> None:
    # Whole numbers times quarters: every product, sum and mean is exact, whatever its order and
    # whichever windows share a batch.
    image = as_image(np.random.default_rng(0).integers(0, 9, (*size, 3), np.uint8))
    stride = (min(stride[0], window[0]), min(stride[1], window[1]))

    def model(images: Tensor) -> Tensor:
        return F.conv2d(images, (FILTERS * 4).round() / 4, padding=1)

    assert torch.equal(image, image.round())
    expected = plain_slide(model, image, window, stride)
    sliding = window_over(model, image, window, stride, batch)
    seen = torch.zeros(size, dtype=torch.int)
    for (rows, columns), logits in sliding.stream():
        seen[slice(*rows), slice(*columns)] += 1
        assert torch.equal(logits, expected[:, slice(*rows), slice(*columns)])
    assert (seen == 1).all()
    region = tuple(
        data.draw(st.tuples(st.integers(0, side - 1), st.integers(1, side)).filter(ordered))
        for side in size
    )
    windows = []
    part = sliding.logits(region, windows.append)
    assert torch.equal(part, expected[:, slice(*region[0]), slice(*region[1])])
    assert sum(windows) == sliding.count(region)


@pytest.mark.parametrize(
    ("window", "stride"), [((4, 4), (5, 4)), ((4, 4), (0, 1)), ((0, 4), (1, 1))]
)
def test_windows_that_leave_gaps(window: tuple[int, int], stride: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="stride"):
        window_over(toy, torch.zeros(3, 8, 8), window, stride)


MEMORY = """
import resource, sys
import torch
import torch.nn.functional as F
from swinkit.segmentation.sliding import SlidingWindow

def infer(windows):
    (top, bottom), (left, right) = windows[0]
    return torch.zeros(len(windows), 150, bottom - top, right - left)

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
window = SlidingWindow(
    infer=infer, size_hw=(1000, 3000), window_hw=(256, 256), stride_hw=(171, 171)
)
pixels = sum(maps.shape[1] * maps.shape[2] for _, maps in window.stream())
assert pixels == 3_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_logits_of_a_large_image_never_exist_at_a_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    # 1.8 GB of logits; a strip of 85 rows, 1000 long, and two windows are 0.13.
    assert int(done.stdout) * 1024 < 400e6
