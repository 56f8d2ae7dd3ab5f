"""predict_maps: whole, windows, scales; the answer in original pixels, memory bounded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.segmentation import predictor as mapper
from swinkit.segmentation.create import create_segmenter
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.predict import each_map, predict_maps
from swinkit.segmentation.upsample import labels_of

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def create(fit: Fit, **changes: object) -> SwinSegmenter:
    torch.manual_seed(0)
    settings = {"num_classes": 4, "fit": fit, **changes}
    return create_segmenter("upernet_swin_nano", **settings).eval()


@pytest.fixture(scope="module")
def same_size() -> SwinSegmenter:
    return create(Fit(short_side=None, long_side=None, divisor=1))


@pytest.fixture(scope="module")
def scaled() -> SwinSegmenter:
    return create(Fit(short_side=48, long_side=None, divisor=1))


def test_whole_image_is_enlarged_twice(scaled: SwinSegmenter) -> None:
    (found,) = predict_maps(scaled, IMAGE, keep_probabilities=True)
    values = torch.from_numpy(scaled.preprocessing(IMAGE).values)[None]
    with torch.inference_mode():
        logits = F.interpolate(scaled(values), size=(70, 90), mode="bilinear")[0]
    assert np.array_equal(found.labels, logits.argmax(0).numpy())
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, logits.softmax(0).numpy(), atol=1e-3)
    assert found.image_rgb is IMAGE


def test_windows_as_large_as_the_image_are_the_whole(same_size: SwinSegmenter) -> None:
    (whole,) = predict_maps(same_size, IMAGE)
    (window,) = predict_maps(same_size, IMAGE, window=128)
    assert np.array_equal(whole.labels, window.labels)


def test_streamed_windows_are_the_averaged_ones(same_size: SwinSegmenter) -> None:
    (streamed,) = predict_maps(same_size, IMAGE, window=(40, 48), stride=24, batch_size=3)
    (kept,) = predict_maps(same_size, IMAGE, window=(40, 48), stride=24, keep_probabilities=True)
    assert (streamed.labels != kept.labels).mean() < 1e-3
    (whole,) = predict_maps(same_size, IMAGE)
    assert not np.array_equal(streamed.labels, whole.labels)


def test_windows_of_a_scaled_image(scaled: SwinSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = predict_maps(scaled, IMAGE, window=32, keep_probabilities=True)
    for pixels in (10_000, 500):  # the windows of a large image are never held at a time
        monkeypatch.setattr(mapper, "BLOCK_BYTES", 4 * 4 * pixels)
        (found,) = predict_maps(scaled, IMAGE, window=32)
        assert (found.labels != kept.labels).mean() < 1e-3  # where two classes nearly tie


def test_another_size_on_request(same_size: SwinSegmenter, scaled: SwinSegmenter) -> None:
    (usual,) = predict_maps(scaled, IMAGE)
    (same,) = predict_maps(same_size, IMAGE, image_size=48)
    assert np.array_equal(same.labels, usual.labels)
    (own,) = predict_maps(same_size, IMAGE, window=32)
    (original,) = predict_maps(scaled, IMAGE, window=32, image_size="original")
    assert np.array_equal(original.labels, own.labels)
    assert not np.array_equal(own.labels, usual.labels)


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
def test_views_mirror_with_the_image(same_size: SwinSegmenter, scales: tuple[float, ...]) -> None:
    settings = {"scales": scales, "flip": True, "keep_probabilities": True}
    (found,) = predict_maps(same_size, IMAGE, **settings)
    (other,) = predict_maps(same_size, IMAGE[:, ::-1], **settings)
    assert found.probabilities is not None
    assert other.probabilities is not None
    np.testing.assert_allclose(
        found.probabilities, other.probabilities[:, :, ::-1].astype(np.float32), atol=2e-3
    )


@pytest.mark.parametrize("window", [None, (40, 48)])
def test_labels_of_views_are_those_of_their_mean(
    same_size: SwinSegmenter, window: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"scales": (0.5, 1.0, 1.5), "flip": True, "window": window}
    (kept,) = predict_maps(same_size, IMAGE, keep_probabilities=True, **settings)
    monkeypatch.setattr(mapper, "BLOCK_BYTES", 4 * 4 * 900)
    steps: list[tuple[int, int]] = []
    each = each_map(
        same_size, IMAGE, progress=lambda *step: steps.append(step), batch_size=2, **settings
    )
    (found,) = each
    assert found.probabilities is None
    assert (found.labels != kept.labels).mean() < 1e-3  # where two classes nearly tie
    done, total = zip(*steps, strict=True)
    assert list(done) == sorted(set(done))
    assert set(total) == {done[-1]}
    assert len(steps) == 6 if window is None else len(steps) > 6


def test_padding_is_cut_off() -> None:
    padded = create(Fit(short_side=None, long_side=None, divisor=32))
    (found,) = predict_maps(padded, IMAGE)
    assert found.size_hw == (70, 90)
    values = torch.from_numpy(padded.preprocessing(IMAGE).values)[None]
    with torch.inference_mode():
        logits = padded(values)[0, :, :70, :90]
    assert np.array_equal(found.labels, logits.argmax(0).numpy())


def test_images_of_one_size_share_a_batch(
    same_size: SwinSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = IMAGE[:60]
    expected = [predict_maps(same_size, image)[0].labels for image in (IMAGE, IMAGE, other)]
    sizes = []
    forward = same_size.forward
    monkeypatch.setattr(
        same_size, "forward", lambda images: sizes.append(len(images)) or forward(images)
    )
    results = predict_maps(same_size, [IMAGE, IMAGE, other], batch_size=3)
    assert sizes == [2, 1]
    for result, labels in zip(results, expected, strict=True):
        assert np.array_equal(result.labels, labels)


@pytest.mark.parametrize("output_hw", [(37, 53), (20, 24), (9, 100), (20, 7)])
def test_blocks_are_the_whole(output_hw: tuple[int, int]) -> None:
    logits = torch.randn(5, 20, 24)
    whole = labels_of(logits, output_hw, 10_000)
    found = labels_of(logits, output_hw, 30)
    assert found.shape == output_hw
    assert (found != whole).mean() < 2e-3  # where two classes tie to the last bit


def test_many_classes_need_more_bits() -> None:
    assert labels_of(torch.randn(300, 4, 4), (4, 4), 99).dtype == np.uint16
    assert labels_of(torch.randn(256, 4, 4), (4, 4), 99).dtype == np.uint8


def test_equals_mmseg_from_raw_pixels(golden_dir: Path) -> None:
    tensors = load_file(golden_dir / "mm_upernet_case1.safetensors")
    meta = json.loads((golden_dir / "mm_upernet_case1.json").read_text())["img_metas"]
    height, width = meta["ori_shape"]
    expected = tensors["out.whole.logits_ori_size"]
    found = labels_of(tensors["out.whole.logits_input_size"][0], (height, width), height * width)
    assert np.array_equal(found, tensors["out.whole.pred"][0].numpy())
    assert tuple(expected.shape[1:]) == (height, width)


def test_folders_and_frames(same_size: SwinSegmenter, tmp_path: Path) -> None:
    for number in (10, 9):
        Image.fromarray(IMAGE[: number * 4]).save(tmp_path / f"f{number}.png")
    results = same_size.predict(tmp_path, keep_images=False)
    assert [result.size_hw[0] for result in results] == [36, 40]
    assert results[0].image_rgb is None
    assert next(each_map(same_size, tmp_path)).size_hw == (36, 90)


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 8},
        {"window": 16, "stride": 20},
        {"scales": ()},
        {"scales": (0.0,)},
        {"batch_size": 0},
    ],
)
def test_refuses_impossible_settings(same_size: SwinSegmenter, changes: dict) -> None:
    with pytest.raises(ConfigError):
        predict_maps(same_size, IMAGE, **changes)
