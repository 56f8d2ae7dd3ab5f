"""Several views of an image: one view is plain prediction, mirrored input mirrors the answer."""

import numpy as np
import pytest
import torch

from swinkit.detection.model import create_detector
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.images.fitting import Fit
from swinkit.task.views import TestAugmentation

FIT = Fit(short_side=64, long_side=96)
IMAGE = np.random.default_rng(1).integers(0, 256, (64, 90, 3), dtype=np.uint8)


def strong(name: str) -> torch.nn.Module:
    """A detector whose answers differ enough from each other to compare them one by one."""
    torch.manual_seed(3)
    model = create_detector(name, num_classes=2, fit=FIT).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim > 1 and "backbone" not in key:
                parameter.normal_(std=0.06)
    return model


def same(first: Detections, second: Detections, number: int = 10) -> None:
    np.testing.assert_allclose(first.scores[:number], second.scores[:number], atol=1e-5)
    assert np.array_equal(first.labels[:number], second.labels[:number])
    np.testing.assert_allclose(first.boxes_xyxy[:number], second.boxes_xyxy[:number], atol=0.01)


@pytest.mark.parametrize(
    "name", ["mask_rcnn_swin_nano", "faster_rcnn_swin_nano", "retinanet_swin_nano"]
)
def test_one_view_is_plain_prediction(name: str) -> None:
    model = strong(name)
    only = TestAugmentation(short_sides=(64,), flip=False)
    (plain,) = model.predict(IMAGE, score_threshold=0.02)
    (viewed,) = model.predict(IMAGE, score_threshold=0.02, views=only)
    assert len(plain) > 5
    same(plain, viewed, len(plain))
    if isinstance(plain, InstanceMasks):
        assert isinstance(viewed, InstanceMasks)
        assert np.array_equal(plain.masks.to_dense(), viewed.masks.to_dense())


@pytest.mark.parametrize("name", ["mask_rcnn_swin_nano", "retinanet_swin_nano"])
def test_a_mirrored_image_gives_the_mirrored_answer(name: str) -> None:
    model = strong(name)
    views = TestAugmentation(short_sides=(48, 64))
    (found,) = model.predict(IMAGE, score_threshold=0.02, views=views)
    (other,) = model.predict(IMAGE[:, ::-1], score_threshold=0.02, views=views)
    boxes = other.boxes_xyxy.copy()
    boxes[:, [0, 2]] = 90 - boxes[:, [2, 0]]
    mirrored = Detections(other.class_names, boxes, other.scores, other.labels, other.size_hw)
    assert len(found) > 5
    same(found, mirrored)
    if isinstance(found, InstanceMasks):
        assert isinstance(other, InstanceMasks)
        flipped = other.masks.to_dense()[:10, :, ::-1]
        assert (found.masks.to_dense()[:10] != flipped).mean() < 1e-3
