"""From raw pixels to results through `predict`: mmdet's detections and masks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from swinkit.checkpoints.load import load
from swinkit.detection.model import SwinDetector
from swinkit.detection.result import InstanceMasks
from swinkit.images.fitting import Fit

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


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("mm_maskrcnn_case1", Fit(short_side=200, long_side=283)),
        ("mm_htc_case1", Fit(short_side=161, long_side=400)),
    ],
)
def test_detections_are_mmdets(golden_dir: Path, name: str, fit: Fit) -> None:
    tensors, model, image = read(golden_dir, name, fit)
    assert isinstance(model, SwinDetector)
    (found,) = model.predict(image)
    assert isinstance(found, InstanceMasks)
    np.testing.assert_allclose(found.boxes_xyxy, tensors["out.det.bboxes"], atol=0.01)
    np.testing.assert_allclose(found.scores, tensors["out.det.scores"], atol=1e-4)
    assert np.array_equal(found.labels, tensors["out.det.labels"])
    width = json.loads((golden_dir / f"{name}.json").read_text())["img_metas"]["ori_shape"][1]
    masks = np.unpackbits(tensors["out.mask.pasted_packed"], axis=-1, count=width).astype(bool)
    assert (found.masks.to_dense() != masks).sum() <= 1e-4 * masks.sum()
