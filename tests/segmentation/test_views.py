"""Means over views, block by block, against the same on whole tensors."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ways import as_image, plain_mean, toy, views_of

from swinkit.segmentation.views import mean_scores

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.integers(4, 25), st.integers(4, 25)), min_size=1, max_size=2, unique=True
    ),
    output_hw=SIDES,
    window=st.none() | st.tuples(st.integers(2, 12), st.integers(2, 12)),
    stride=st.integers(1, 6),
    flip=st.booleans(),
    pixels=st.integers(1, 1600),
    batch=st.integers(1, 3),
    keep=st.booleans(),
    logits=st.booleans(),
)
def test_mean_of_probabilities(
    sizes: list[tuple[int, int]],
    output_hw: tuple[int, int],
    window: tuple[int, int] | None,
    stride: int,
    flip: bool,
    pixels: int,
    batch: int,
    keep: bool,
    logits: bool,
) -> None:
    rng = np.random.default_rng(0)
    images = [as_image(rng.random((*size, 3), np.float32)) for size in sizes]
    windows = window, None if window is None else (min(stride, window[0]), min(stride, window[1]))
    views = views_of(toy, images, flip, *windows, batch_size=batch, keep=keep or window is None)
    steps: list[tuple[int, int]] = []
    found = torch.full((5, *output_hw), torch.nan)
    logits = logits and len(views) == 1
    for (rows, columns), scores in mean_scores(
        views,
        output_hw,
        pixels=pixels,
        logits=logits,
        progress=lambda *step: steps.append(step),
    ):
        place = found[:, slice(*rows), slice(*columns)]
        assert place.isnan().all(), "a place twice"
        place.copy_(scores.softmax(0) if logits else scores)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert {total for _, total in steps} == {steps[-1][0]}
    expected = plain_mean(toy, images, output_hw, flip, *windows)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found.sum(0), torch.ones(output_hw))
