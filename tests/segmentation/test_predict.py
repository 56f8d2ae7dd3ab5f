"""predict: whole, windows, views; the answer in original pixels, memory bounded."""

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
from swinkit.segmentation import predict as predicting
from swinkit.segmentation.model import SwinSegmenter, create_segmenter
from swinkit.segmentation.upsample import upsampled
from swinkit.task.views import TestAugmentation

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


def test_whole_image_is_upsampled_twice(scaled: SwinSegmenter) -> None:
    (found,) = scaled.predict(IMAGE, keep_probabilities=True)
    values = torch.from_numpy(scaled.preprocessing(IMAGE).values)[None]
    with torch.inference_mode():
        logits = F.interpolate(scaled(values), size=(70, 90), mode="bilinear")[0]
    assert np.array_equal(found.labels, logits.argmax(0).numpy())
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, logits.softmax(0).numpy(), atol=1e-3)
    assert found.image_rgb is IMAGE


def test_windows_as_large_as_the_image_are_the_whole(same_size: SwinSegmenter) -> None:
    (whole,) = same_size.predict(IMAGE)
    (window,) = same_size.predict(IMAGE, window=128)
    assert np.array_equal(whole.labels, window.labels)


def test_streamed_windows_are_the_averaged_ones(same_size: SwinSegmenter) -> None:
    (streamed,) = same_size.predict(IMAGE, window=(40, 48), stride=24, batch_size=3)
    (kept,) = same_size.predict(IMAGE, window=(40, 48), stride=24, keep_probabilities=True)
    assert (streamed.labels != kept.labels).mean() < 1e-3
    (whole,) = same_size.predict(IMAGE)
    assert not np.array_equal(streamed.labels, whole.labels)


def test_windows_of_a_scaled_image(scaled: SwinSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = scaled.predict(IMAGE, window=32, keep_probabilities=True)
    for pixels in (10_000, 500):  # the windows of a large image are never held at a time
        monkeypatch.setattr(predicting, "BLOCK_BYTES", 4 * 4 * pixels)
        (found,) = scaled.predict(IMAGE, window=32)
        assert (found.labels != kept.labels).mean() < 1e-3  # where two classes nearly tie


def test_another_size_on_request(same_size: SwinSegmenter, scaled: SwinSegmenter) -> None:
    (usual,) = scaled.predict(IMAGE)
    (same,) = same_size.predict(IMAGE, image_size=48)
    assert np.array_equal(same.labels, usual.labels)
    (own,) = same_size.predict(IMAGE, window=32)
    (original,) = scaled.predict(IMAGE, window=32, image_size="original")
    assert np.array_equal(original.labels, own.labels)
    assert not np.array_equal(own.labels, usual.labels)


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
def test_views_mirror_with_the_image(same_size: SwinSegmenter, scales: tuple[float, ...]) -> None:
    settings = {"views": TestAugmentation(scales=scales), "keep_probabilities": True}
    (found,) = same_size.predict(IMAGE, **settings)
    (other,) = same_size.predict(IMAGE[:, ::-1], **settings)
    assert found.probabilities is not None
    assert other.probabilities is not None
    np.testing.assert_allclose(
        found.probabilities, other.probabilities[:, :, ::-1].astype(np.float32), atol=2e-3
    )


@pytest.mark.parametrize("window", [None, (40, 48)])
def test_labels_of_views_are_those_of_their_mean(
    same_size: SwinSegmenter, window: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"views": TestAugmentation(scales=(0.5, 1.0, 1.5)), "window": window}
    (kept,) = same_size.predict(IMAGE, keep_probabilities=True, **settings)
    monkeypatch.setattr(predicting, "BLOCK_BYTES", 4 * 4 * 900)
    steps: list[tuple[int, int]] = []
    each = same_size.predict_iter(
        IMAGE, progress=lambda *step: steps.append(step), batch_size=2, **settings
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
    (found,) = padded.predict(IMAGE)
    assert found.size_hw == (70, 90)
    values = torch.from_numpy(padded.preprocessing(IMAGE).values)[None]
    with torch.inference_mode():
        logits = padded(values)[0, :, :70, :90]
    assert np.array_equal(found.labels, logits.argmax(0).numpy())


def test_images_of_one_size_share_a_batch(
    same_size: SwinSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = IMAGE[:60]
    expected = [same_size.predict(image)[0].labels for image in (IMAGE, IMAGE, other)]
    sizes = []
    forward = same_size.forward
    monkeypatch.setattr(
        same_size, "forward", lambda images: sizes.append(len(images)) or forward(images)
    )
    results = same_size.predict([IMAGE, IMAGE, other], batch_size=3)
    assert sizes == [2, 1]
    for result, labels in zip(results, expected, strict=True):
        assert np.array_equal(result.labels, labels)


def test_one_view_is_what_it_shows(scaled: SwinSegmenter, same_size: SwinSegmenter) -> None:
    views = TestAugmentation(short_sides=(48,), flip=False)
    (viewed,) = same_size.predict(IMAGE, views=views, keep_probabilities=True)
    (plain,) = scaled.predict(IMAGE, keep_probabilities=True)
    assert np.array_equal(viewed.labels, plain.labels)
    # Half precision: a mean of one softmax may round to the neighbor of the softmax itself.
    assert viewed.probabilities is not None
    assert plain.probabilities is not None
    np.testing.assert_array_max_ulp(viewed.probabilities, plain.probabilities, maxulp=1)


@pytest.mark.parametrize(("classes", "kind"), [(256, np.uint8), (257, np.uint16)])
def test_type_of_the_labels(classes: int, kind: type) -> None:
    model = create(Fit(short_side=None, long_side=None, divisor=1), num_classes=classes)
    assert model.predict(IMAGE, window=64)[0].labels.dtype == kind
    assert model.predict(IMAGE)[0].labels.dtype == kind


def test_equals_mmseg_from_raw_pixels(golden_dir: Path) -> None:
    tensors = load_file(golden_dir / "mm_upernet_case1.safetensors")
    meta = json.loads((golden_dir / "mm_upernet_case1.json").read_text())["img_metas"]
    height, width = meta["ori_shape"]
    expected = tensors["out.whole.logits_ori_size"]
    ((_, logits),) = upsampled(
        tensors["out.whole.logits_input_size"][0], (height, width), height * width
    )
    assert np.array_equal(logits.argmax(0).numpy(), tensors["out.whole.pred"][0].numpy())
    assert tuple(expected.shape[1:]) == (height, width)


def test_folders_and_frames(same_size: SwinSegmenter, tmp_path: Path) -> None:
    for number in (10, 9):
        Image.fromarray(IMAGE[: number * 4]).save(tmp_path / f"f{number}.png")
    results = same_size.predict(tmp_path, keep_images=False)
    assert [result.size_hw[0] for result in results] == [36, 40]
    assert results[0].image_rgb is None
    assert next(same_size.predict_iter(tmp_path)).size_hw == (36, 90)


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 8},
        {"window": 16, "stride": 20},
        {"batch_size": 0},
    ],
)
def test_refuses_impossible_settings(same_size: SwinSegmenter, changes: dict) -> None:
    with pytest.raises(ConfigError):
        same_size.predict(IMAGE, **changes)
