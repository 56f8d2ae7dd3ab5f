"""Ways of predicting, on models whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from upernet_peers import shake_norms, small_config

from swinkit.errors import ConfigError
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.sliding import augmented, coverage, slide, spans, whole
from swinkit.segmentation.sliding_labels import slide_labels

FILTERS = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(1))


def toy(images: Tensor) -> Tensor:
    """Logits that depend on the neighbourhood, so that windows differ from the whole."""
    return torch.nn.functional.conv2d(images, FILTERS.to(images), padding=1)


@pytest.fixture(scope="module")
def small() -> SwinSegmenter:
    torch.manual_seed(0)
    model = SwinSegmenter(small_config())
    shake_norms(model)
    return model.eval()


@pytest.mark.parametrize("window_hw", [(40, 52), (64, 52), (500, 500)])
def test_a_window_as_large_as_the_image_is_the_whole_image(
    small: SwinSegmenter, window_hw: tuple[int, int]
) -> None:
    image = torch.randn(1, 3, 40, 52)
    with torch.inference_mode():
        assert torch.equal(slide(small, image, window_hw, (10, 10)), whole(small, image))


@given(length=st.integers(1, 60), window=st.integers(1, 30), stride=st.integers(1, 30))
def test_windows_cover_every_place(length: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    found = spans(length, window, stride)
    counts = coverage(length, window, stride)
    assert counts.min() >= 1
    assert all(last - first == min(window, length) for first, last in found)
    firsts = [first for first, _ in found]
    assert firsts == sorted(set(firsts))


def test_slide_averages_before_softmax() -> None:
    image = torch.randn(1, 3, 6, 9)
    ours = slide(toy, image, (6, 6), (6, 3))
    total = torch.zeros(1, 5, 6, 9)
    for left in (0, 3):
        total[..., left : left + 6] += toy(image[..., left : left + 6])
    total[..., 3:6] /= 2
    assert torch.allclose(ours, total, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(4, 25), st.integers(4, 25)),
    window=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    stride=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    batch=st.integers(1, 3),
)
def test_streaming_gives_the_same_labels(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], batch: int
) -> None:
    # Quarters are summed exactly, so that ties break alike whatever the order of the sums.
    image = np.random.default_rng(0).integers(0, 9, (*size, 3), np.uint8)
    stride = (min(stride[0], window[0]), min(stride[1], window[1]))

    def model(images: Tensor) -> Tensor:
        return (toy(images) * 4).round() / 4

    def prepare(pixels: np.ndarray) -> np.ndarray:
        return pixels.transpose(2, 0, 1).astype(np.float32)

    labels = slide_labels(
        model, image, window_hw=window, stride_hw=stride, prepare=prepare, batch_size=batch
    )
    logits = slide(model, torch.from_numpy(prepare(image))[None], window, stride)
    best = logits.max(1).values[0]
    chosen = logits[0].gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]
    assert labels.dtype == np.uint8
    # Dividing by three rounds, so that a tie of sums may be none of means.
    assert torch.allclose(chosen, best, atol=1e-5)


def test_streaming_with_many_classes_and_progress() -> None:
    def model(images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 300, *images.shape[2:])
        logits[:, 290] = 1
        return logits

    seen: list[tuple[int, int]] = []
    labels = slide_labels(
        model,
        np.zeros((9, 8, 3), np.uint8),
        window_hw=(4, 4),
        stride_hw=(3, 3),
        prepare=lambda pixels: pixels.transpose(2, 0, 1).astype(np.float32),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert labels.dtype == np.uint16
    assert (labels == 290).all()
    assert seen == [(done, 9) for done in range(1, 10)]


def test_augmented_is_the_mean_of_probabilities() -> None:
    images = [torch.randn(1, 3, 6, 8), torch.randn(1, 3, 9, 12)]
    ours = augmented(toy, images, (12, 16))
    parts = []
    for image in images:
        for logits in (toy(image), toy(image.flip(-1)).flip(-1)):
            enlarged = torch.nn.functional.interpolate(logits, (12, 16), mode="bilinear")
            parts.append(enlarged.softmax(1))
    assert torch.allclose(ours, torch.stack(parts).mean(0), atol=1e-6)
    assert torch.allclose(ours.sum(1), torch.ones(1, 12, 16))
    once = augmented(toy, images[:1], (6, 8), flip=False)
    assert torch.allclose(once, toy(images[0]).softmax(1))
    slid = augmented(toy, images[:1], (6, 8), flip=False, window_hw=(4, 4), stride_hw=(2, 2))
    assert torch.allclose(slid, slide(toy, images[0], (4, 4), (2, 2)).softmax(1))


@pytest.mark.parametrize(
    ("window", "stride"), [((4, 4), (5, 4)), ((4, 4), (0, 1)), ((0, 4), (1, 1))]
)
def test_windows_that_leave_gaps(window: tuple[int, int], stride: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="stride"):
        slide(toy, torch.zeros(1, 3, 8, 8), window, stride)


def test_no_scale_at_all() -> None:
    with pytest.raises(ConfigError, match="at least one scale"):
        augmented(toy, [], (4, 4))
