"""The variation of training images, on drawn shapes and on real annotations."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo_shapes import draw_shapes
from swinkit.data.config import DataConfig
from swinkit.data.photometric import jitter_colors
from swinkit.detection.data.dataset import DetectionDataset
from swinkit.detection.data.objects import Objects, tight_boxes
from swinkit.detection.data.splits import load_detection
from swinkit.detection.data.transforms import DetectionTransform, paste_objects
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit

EVERYTHING = DetectionAugmentation(
    short_sides=(120, 200),
    long_side=260,
    crop_short_sides=(150, 200),
    crop_sides=(90, 150),
    vertical_flip=0.5,
    quarter_turn=0.5,
    photometric_probability=0.5,
    copy_paste_probability=0.5,
)


def shapes(seed: int, size_hw: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, Objects]:
    image, masks, labels = draw_shapes(np.random.default_rng(seed), size_hw)
    return image, Objects(
        boxes_xyxy=tight_boxes(masks),
        labels=labels,
        is_crowd=np.zeros(len(labels), bool),
        masks=masks.astype(np.uint8),
        size_hw=size_hw,
    )


def assert_fitting(objects: Objects, tolerance: float) -> None:
    """Each box is the tight box of its mask, within what a resize of whole pixels leaves open."""
    real = ~objects.is_crowd
    boxes = objects.boxes_xyxy[real]
    height, width = objects.size_hw
    assert (boxes >= -1e-3).all()
    assert (boxes <= np.array([width, height] * 2) + 1e-3).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all()
    if objects.masks is not None:
        assert objects.masks.shape == (len(objects), height, width)
        masks = objects.masks[real]
        full = masks.any(axis=(1, 2))
        assert (np.abs(boxes - tight_boxes(masks))[full] <= tolerance).all()


def test_boxes_and_masks_of_nuclei_follow_every_transform(data_dir: Path) -> None:
    splits = load_detection(DataConfig(path=data_dir / "nuclei", scan="none"))
    dataset = DetectionDataset(splits.train[:40], Fit(), masks=True)
    # Images are enlarged up to 200 / 256 or shrunk; pasted and cut ones included.
    transform = DetectionTransform(EVERYTHING)
    counted = 0
    for index in range(40):
        image, objects = transform(
            dataset.annotated(index),
            np.random.default_rng(index),
            partial(dataset.annotated, (7 * index) % 40),
        )
        assert image.shape[:2] == objects.size_hw
        assert image.dtype == np.uint8
        assert_fitting(objects, tolerance=2.0)
        counted += len(objects)
    assert counted > 500


def test_boxes_of_blood_cells_follow_every_transform(data_dir: Path) -> None:
    splits = load_detection(DataConfig(path=data_dir / "bccd", scan="none"))
    dataset = DetectionDataset(splits.train[:20], Fit())
    transform = DetectionTransform(EVERYTHING)
    for index in range(20):
        rng = np.random.default_rng(index)
        image, objects = transform(dataset.annotated(index), rng, lambda: dataset.annotated(0))
        assert image.shape[:2] == objects.size_hw
        assert_fitting(objects, tolerance=0)


def test_masks_lie_on_the_pixels_of_their_object() -> None:
    # An image that is the number of its object shows where each pixel went.
    for seed in range(30):
        rng = np.random.default_rng(seed)
        _, objects = shapes(seed)
        assert objects.masks is not None
        values = objects.masks * np.arange(1, len(objects) + 1, dtype=np.uint8)[:, None, None]
        image = np.repeat(values.sum(axis=0, dtype=np.uint8)[:, :, None] * 30, 3, axis=2)
        config = DetectionAugmentation(
            short_sides=(60, 120), vertical_flip=0.5, quarter_turn=0.5, crop_short_sides=(60,)
        )
        varied, moved = DetectionTransform(config)((image, objects), rng)
        assert moved.masks is not None
        for row, mask in enumerate(moved.masks):
            inner = cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=0).astype(bool)
            if inner.any():
                values = varied[inner, 0]
                assert len(np.unique(values)) == 1, (seed, row)


def test_without_variation_the_image_is_as_for_evaluation() -> None:
    image, objects = shapes(3)
    config = DetectionAugmentation.off(short_side=90, long_side=400)
    varied, moved = DetectionTransform(config)((image, objects), np.random.default_rng(0))
    fitted = Fit(short_side=90, long_side=400, divisor=1)
    assert varied.shape[:2] == moved.size_hw == fitted(image).size_hw
    np.testing.assert_allclose(moved.boxes_xyxy, objects.boxes_xyxy * 1.5)


def test_sizes_stay_within_the_recipe() -> None:
    config = DetectionAugmentation()
    transform = DetectionTransform(config)
    picture = shapes(1, (120, 200))
    for seed in range(25):
        image, _ = transform(picture, np.random.default_rng(seed))
        assert min(image.shape[:2]) in config.short_sides or max(image.shape[:2]) == 1333
        assert max(image.shape[:2]) <= 1333


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_colors_keep_shape_type_and_range(channels: int, kind: type) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, channels)).astype(np.uint8)
    if kind is np.float32:
        image = image.astype(np.float32) / 255
    changed = 0
    for seed in range(8):
        varied = jitter_colors(image, np.random.default_rng(seed), 1.0)
        assert varied.shape == image.shape
        assert varied.dtype == image.dtype
        assert varied.max() <= (255 if kind is np.uint8 else 1)
        changed += not np.array_equal(varied, image)
    assert changed >= 3


def test_pasted_objects_cover_what_lies_below() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        target, source = shapes(seed), shapes(seed + 100, (90, 50))
        image, objects = paste_objects(target, source, rng, most=3, min_visible=0.1)
        assert image.shape == target[0].shape
        assert objects.masks is not None
        assert objects.masks.sum(axis=0).max() <= 1
        assert_fitting(objects, tolerance=0)
        unchanged = (image == target[0]).all(axis=2)
        assert unchanged.any()


def test_pasting_by_boxes() -> None:
    image, objects = shapes(5)
    bare = Objects(
        boxes_xyxy=objects.boxes_xyxy,
        labels=objects.labels,
        is_crowd=objects.is_crowd,
        masks=None,
        size_hw=objects.size_hw,
    )
    pasted, both = paste_objects(
        (np.zeros_like(image), bare), (image, bare), np.random.default_rng(0), most=1, min_visible=0
    )
    assert both.masks is None
    left, top, right, bottom = both.boxes_xyxy[-1].astype(int)
    np.testing.assert_array_equal(pasted[top:bottom, left:right], image[top:bottom, left:right])
    assert pasted.any(axis=2).sum() <= (right - left) * (bottom - top)


def test_nothing_to_paste() -> None:
    target = shapes(0)
    image, objects = shapes(1)
    empty = objects.take(np.zeros(0, np.int64))
    rng = np.random.default_rng(0)
    same = paste_objects(target, (image, empty), rng, most=3, min_visible=0.1)
    assert same[0] is target[0]


def test_an_image_without_objects_goes_through() -> None:
    image, objects = shapes(0)
    empty = objects.take(np.zeros(0, np.int64))
    for seed in range(6):
        varied, moved = DetectionTransform(EVERYTHING)(
            (image, empty), np.random.default_rng(seed), lambda: shapes(1)
        )
        assert varied.shape[:2] == moved.size_hw


def test_settings_for_small_images() -> None:
    config = DetectionAugmentation.around(160)
    assert (min(config.short_sides), max(config.short_sides)) == (120, 200)
    assert config.crop_sides[1] <= 160


@pytest.mark.parametrize(
    "values",
    [
        {"horizontal_flip": 1.5},
        {"short_sides": ()},
        {"long_side": 100},
        {"crop_sides": (600, 384)},
        {"photometric_strength": -1.0},
        {"copy_paste_objects": 0},
        {"crop_short_sides": (0,)},
    ],
)
def test_settings_out_of_range(values: dict) -> None:
    with pytest.raises(ConfigError):
        DetectionAugmentation(**values)
