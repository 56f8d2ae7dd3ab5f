"""predict: every kind of source, batches of any sizes, tiles, in original pixels."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from spotter import Spotter, paint

from swinkit.detection.config import Suppression
from swinkit.detection.model import create_detector
from swinkit.detection.predict import pad_together
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.errors import ConfigError, ImageError
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import ModelInfo

SAME_SIZE = Fit(short_side=None, long_side=None)
BOXES = [(0, 10, 12, 50, 40), (1, 60, 5, 95, 70), (0, 4, 55, 30, 78)]
IMAGE = paint((80, 100), BOXES)


def as_sets(result: Detections) -> set[tuple[int, ...]]:
    boxes = np.rint(result.boxes_xyxy).astype(int).tolist()
    return {(int(label), *box) for label, box in zip(result.labels, boxes, strict=True)}


def test_answers_in_original_pixels() -> None:
    twice = Spotter(Fit(short_side=160, long_side=None))
    (found,) = twice.predict(IMAGE)
    assert isinstance(found, InstanceMasks)
    assert as_sets(found) == set(BOXES)
    assert np.abs(found.boxes_xyxy - np.rint(found.boxes_xyxy)).max() <= 0.5
    for (label, left, top, right, bottom), row in zip(
        sorted(BOXES), np.lexsort((found.boxes_xyxy[:, 0], found.labels)), strict=True
    ):
        assert found.labels[row] == label
        inner = found.masks[row][top + 2 : bottom - 2, left + 2 : right - 2]
        assert inner.all()
        assert found.masks[row].sum() <= (right - left + 2) * (bottom - top + 2)
    assert found.size_hw == (80, 100)
    assert found.image_rgb is IMAGE
    assert found.seconds is not None


def test_images_of_different_size_share_a_batch() -> None:
    model = Spotter(SAME_SIZE)
    other = paint((40, 130), [(1, 100, 2, 128, 38)])
    results = model.predict([IMAGE, other], batch_size=2)
    assert model.batches == [(2, 3, 96, 160)]
    assert [as_sets(result) for result in results] == [set(BOXES), {(1, 100, 2, 128, 38)}]


def test_pad_together_leaves_the_images_upper_left() -> None:
    first, second = np.ones((3, 4, 9), np.float32), np.ones((3, 6, 2), np.float32)
    batch = pad_together([first, second])
    assert batch.shape == (2, 3, 6, 9)
    assert batch.sum() == first.sum() + second.sum()
    assert batch[0, :, :4, :9].min() == 1
    assert batch[1, :, :6, :2].min() == 1


@pytest.mark.parametrize("masks", [True, False])
def test_tiles_find_what_the_whole_image_holds(masks: bool) -> None:
    boxes = [*BOXES, (0, 110, 20, 290, 60), (1, 150, 80, 170, 160), (0, 296, 150, 310, 170)]
    image = paint((180, 320), boxes)
    model = Spotter(SAME_SIZE, masks=masks)
    (found,) = model.predict(image, tile=(96, 128), overlap=0.3, batch_size=3)
    assert as_sets(found) == set(boxes)
    assert max(shape[0] for shape in model.batches) == 3
    if masks:
        assert isinstance(found, InstanceMasks)
        wide = int(np.argmax(found.boxes_xyxy[:, 2] - found.boxes_xyxy[:, 0]))
        _, left, top, right, bottom = boxes[3]
        assert found.masks[wide][top + 3 : bottom - 3, left + 3 : right - 3].mean() > 0.97


def test_a_huge_mapped_image_is_read_tile_by_tile(tmp_path: Path) -> None:
    file = tmp_path / "huge.npy"
    huge = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(3000, 4000, 3))
    huge[2000:2040, 3000:3050] = (255, 0, 0)
    huge.flush()
    mapped = np.load(file, mmap_mode="r")
    tracemalloc.start()
    (found,) = Spotter(SAME_SIZE).predict(mapped, tile=512, overlap=0.1, keep_images=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert as_sets(found) == {(0, 3000, 2000, 3050, 2040)}
    assert peak < 3e7  # the pixels alone are 3.6e7
    assert found.image_rgb is None


def test_thresholds_and_numbers_override_the_models() -> None:
    model = Spotter(SAME_SIZE)
    best = max(model.predict(IMAGE)[0].scores)
    (few,) = model.predict(IMAGE, score_threshold=float(best) - 1e-6)
    assert len(few) == 1
    (one,) = model.predict(IMAGE, max_per_image=1)
    assert len(one) == 1
    for changes in ({"score_threshold": 1.0}, {"score_threshold": -0.1}, {"max_per_image": 0}):
        with pytest.raises(ConfigError):
            model.predict(IMAGE, **changes)


def test_frames_of_a_folder_come_in_the_order_of_time(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.fromarray(paint((40, 60), [(0, number, 5, 40, 30)])).save(
            tmp_path / f"frame{number}.png"
        )
    results = Spotter(SAME_SIZE).predict(tmp_path, batch_size=2)
    assert [result.boxes_xyxy[0, 0] for result in results] == [1, 2, 10]
    assert [Path(result.source or "").name for result in results] == [
        "frame1.png",
        "frame2.png",
        "frame10.png",
    ]


def test_unreadable_images(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"bad\.png"):
        Spotter(SAME_SIZE).predict(tmp_path)
    (only,) = Spotter(SAME_SIZE).predict(tmp_path, on_error="skip")
    assert as_sets(only) == set(BOXES)


def test_nothing_found_is_an_answer() -> None:
    gray = np.full((50, 60), 90, np.uint8)
    for extra in ({}, {"tile": 40}):
        (found,) = Spotter(SAME_SIZE).predict(gray, **extra)
        assert len(found) == 0
        assert found.image_rgb is not None
        assert found.image_rgb.shape == (50, 60, 3)


def test_one_by_one_keeps_a_batch_at_a_time_and_the_mode() -> None:
    model = Spotter(SAME_SIZE).train()
    results = model.predict_iter([IMAGE] * 5, batch_size=2)
    next(results)
    assert len(model.batches) == 1
    assert not model.training
    assert len(list(results)) == 4
    assert model.training


def test_a_classifiers_preprocessing_is_refused() -> None:
    model = Spotter(SAME_SIZE)
    with pytest.raises(ConfigError, match="prepares images by Fit"):
        model.info = ModelInfo(preprocessing=Preprocessing())


@pytest.mark.parametrize("name", ["mask_rcnn_swin_nano", "retinanet_swin_nano"])
def test_real_detectors_agree_with_their_own_forward(name: str) -> None:
    model = create_detector(name, num_classes=2, fit=Fit(short_side=64, long_side=128)).eval()
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    (found,) = model.predict(image, score_threshold=0.0, max_per_image=20)
    fitted = model.preprocessing(image)
    with torch.inference_mode():
        (raw,) = model(torch.from_numpy(fitted.values)[None], [fitted.size_hw])
    scale = np.array(fitted.scale_wh * 2, np.float32)
    expected = (raw.boxes_xyxy.numpy() / scale)[: len(found)]
    # The model's own threshold may leave fewer; those that both have are the same.
    both = min(len(found), len(raw))
    np.testing.assert_allclose(found.boxes_xyxy[:both], expected[:both], atol=1e-3)
    np.testing.assert_allclose(found.scores[:both], raw.scores[:both].numpy(), atol=1e-6)


def test_soft_suppression_replaces_the_models() -> None:
    model = create_detector("faster_rcnn_swin_nano", num_classes=2, fit=Fit(short_side=64))
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    (hard,) = model.predict(image, score_threshold=0.05)
    (soft,) = model.predict(image, score_threshold=0.05, suppression=Suppression(method="gaussian"))
    assert soft.scores[0] == pytest.approx(hard.scores[0])
    assert not np.array_equal(soft.scores[: len(hard)], hard.scores)
