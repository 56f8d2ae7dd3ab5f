"""From raw pixels to results through `predict`: mmseg's maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from swinkit.checkpoints.load import load
from swinkit.images.fitting import Fit
from swinkit.segmentation.model import SwinSegmenter
from swinkit.task.views import TestAugmentation

Case = tuple[dict[str, Any], Any, np.ndarray]


def read(folder: Path, name: str, fit: Fit) -> Case:
    tensors = {
        key: value if key.startswith("state.") else value.numpy()
        for key, value in load_file(folder / f"{name}.safetensors").items()
    }
    state = {key[6:]: value for key, value in tensors.items() if key.startswith("state.")}
    model = load({"state_dict": state, "meta": {"mmdet_version": "3.3.0"}}, report=None)
    model.info = replace(model.info, preprocessing=fit)
    return tensors, model, tensors["input.raw_bgr_u8"][..., ::-1]


def test_maps_are_mmsegs(golden_dir: Path) -> None:
    fit = Fit(short_side=153, long_side=400, divisor=1)
    tensors, model, image = read(golden_dir, "mm_upernet_case1", fit)
    assert isinstance(model, SwinSegmenter)
    (whole,) = model.predict(image)
    assert np.array_equal(whole.labels, tensors["out.whole.pred"][0])

    same_size = Fit(short_side=None, long_side=None, divisor=1)
    model.info = replace(model.info, preprocessing=same_size)
    scales = TestAugmentation(scales=(0.75, 1, 1.25))
    (views,) = model.predict(image, views=scales, keep_probabilities=True)
    assert np.array_equal(views.labels, tensors["out.tta.pred"][0])
    assert views.probabilities is not None
    np.testing.assert_allclose(views.probabilities, tensors["out.tta.mean_softmax"], atol=5e-4)

    larger = same_size.restore(tensors["input.slide_image"][0])
    (windows,) = model.predict(larger, window=128, stride=85, batch_size=2)
    assert np.array_equal(windows.labels, tensors["out.slide.pred"][0])
