"""Means over views, block by block, against the same on whole tensors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.segmentation.sliding import augmented
from swinkit.segmentation.upsample import block_read, blocks, enlarge
from swinkit.segmentation.views import KeptView, MirroredView, SlidingView, View, mean_labels

FILTERS = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(1))
SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def toy(images: Tensor) -> Tensor:
    """Logits that depend on the neighbourhood, so that windows differ from the whole."""
    return F.conv2d(images, FILTERS.to(images), padding=1)


def prepare(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)


@given(size=SIDES, pixels=st.integers(1, 2000))
def test_blocks_cover_every_place_once(size: tuple[int, int], pixels: int) -> None:
    seen = np.zeros(size, int)
    for rows, columns in blocks(size, pixels):
        assert (rows[1] - rows[0]) * (columns[1] - columns[0]) <= pixels
        seen[slice(*rows), slice(*columns)] += 1
    assert (seen == 1).all()


@settings(deadline=None)
@given(map_hw=SIDES, answer_hw=SIDES, pixels=st.integers(1, 400))
def test_a_block_is_a_part_of_the_whole(
    map_hw: tuple[int, int], answer_hw: tuple[int, int], pixels: int
) -> None:
    maps = torch.randn(3, *map_hw, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(maps[None], size=answer_hw, mode="bilinear")[0]
    for block in blocks(answer_hw, pixels):
        read = block_read(map_hw, answer_hw, block)
        part = maps[:, slice(*read[0]), slice(*read[1])]
        found = enlarge(part, read, map_hw, answer_hw, block)
        assert torch.allclose(found, whole[:, slice(*block[0]), slice(*block[1])], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.integers(4, 25), st.integers(4, 25)), min_size=1, max_size=2, unique=True
    ),
    output_hw=SIDES,
    window=st.none() | st.tuples(st.integers(2, 12), st.integers(2, 12)),
    stride=st.integers(1, 6),
    flip=st.booleans(),
    pixels=st.integers(1, 600),
    batch=st.integers(1, 3),
    keep=st.booleans(),
)
def test_the_best_of_the_mean(
    sizes: list[tuple[int, int]],
    output_hw: tuple[int, int],
    window: tuple[int, int] | None,
    stride: int,
    flip: bool,
    pixels: int,
    batch: int,
    keep: bool,
) -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((*size, 3), np.float32) for size in sizes]
    stride_hw = None if window is None else (min(stride, window[0]), min(stride, window[1]))

    def view(image: np.ndarray) -> View:
        sliding = SlidingView(
            model=toy,
            image=image,
            window_hw=window or image.shape[:2],
            stride_hw=stride_hw or image.shape[:2],
            prepare=prepare,
            batch_size=batch,
        )
        return KeptView(sliding) if keep or window is None else sliding

    views = []
    for image in images:
        views.append(view(image))
        if flip:
            views.append(MirroredView(view(image[:, ::-1])))
    steps: list[tuple[int, int]] = []
    labels = mean_labels(
        views, output_hw, 5, pixels=pixels, progress=lambda *step: steps.append(step)
    )
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert {total for _, total in steps} == {steps[-1][0]}
    whole = augmented(
        toy,
        [torch.from_numpy(prepare(image))[None] for image in images],
        output_hw,
        flip,
        window_hw=window,
        stride_hw=stride_hw,
    )[0]
    chosen = whole.gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]
    assert labels.dtype == np.uint8
    assert torch.allclose(chosen, whole.max(0).values, atol=1e-5)


@pytest.mark.parametrize(("classes", "kind"), [(256, np.uint8), (257, np.uint16)])
def test_type_of_the_labels(classes: int, kind: type) -> None:
    def last(images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), classes, *images.shape[2:])
        logits[:, -1] = 1
        return logits

    view = SlidingView(
        model=last,
        image=np.zeros((3, 4, 3), np.uint8),
        window_hw=(2, 2),
        stride_hw=(1, 1),
        prepare=prepare,
    )
    labels = mean_labels([view], (6, 8), classes, pixels=10)
    assert labels.dtype == kind
    assert (labels == classes - 1).all()
