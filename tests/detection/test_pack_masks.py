"""Boxes and masks in the pixels of the image: mmdet's, without the image's size in memory."""

import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from swinkit.detection import predict as module
from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.boxes.masks import paste_masks
from swinkit.detection.predict import in_image, pack_masks
from swinkit.detection.result import InstanceMasks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 9), st.integers(20, 90), st.integers(20, 90))
def test_equals_pasting(seed: int, number: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * torch.tensor([width, height]) - 5
    boxes = torch.cat((corners, corners + 40 * torch.rand(number, 2, generator=generator)), 1)
    probabilities = torch.rand(number, 28, 28, generator=generator)
    packed = pack_masks(probabilities, boxes, (height, width))
    expected = paste_masks(probabilities, boxes, (height, width)).numpy()
    assert np.array_equal(packed.to_dense(), expected)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = torch.tensor([[1.5, 2, 60, 70], [40, 3, 44, 9.5], [0, 0, 90, 4], [30, 30, 31, 80]])
    probabilities = torch.rand(4, 28, 28)
    whole = pack_masks(probabilities, boxes, (80, 90)).to_dense()
    monkeypatch.setattr(module, "CHUNK_PIXELS", 500)
    assert np.array_equal(pack_masks(probabilities, boxes, (80, 90)).to_dense(), whole)


@pytest.mark.parametrize("case", ["mm_maskrcnn_case1", "mm_cascade_case1", "mm_htc_case1"])
def test_boxes_and_masks_in_the_original_image_are_mmdets(golden_dir: Path, case: str) -> None:
    tensors = load_file(golden_dir / f"{case}.safetensors")
    meta = json.loads((golden_dir / f"{case}.json").read_text())["img_metas"]
    merged = "out.mask.probs_merged_label"
    last = "out.mask.logits_label" if "mask" in case else "out.mask.logits_label.2"
    raw = RawDetections(
        boxes_xyxy=tensors["out.det.bboxes_input_scale"],
        scores=tensors["out.det.scores"],
        labels=tensors["out.det.labels"],
        mask_probabilities=tensors[merged] if merged in tensors else tensors[last].sigmoid(),
    )
    size_hw = tuple(meta["ori_shape"])
    names = [str(label) for label in range(9)]
    found = in_image(raw, size_hw, names, input_hw=tuple(meta["img_shape"]))
    assert np.array_equal(found.boxes_xyxy, tensors["out.det.bboxes"].numpy())
    bits = tensors["out.mask.pasted_packed"].numpy()
    expected = np.unpackbits(bits, axis=-1, count=size_hw[1]).astype(bool)
    assert isinstance(found, InstanceMasks)
    assert np.array_equal(found.masks.to_dense(), expected)


def test_detections_return_to_the_pixels_of_the_image() -> None:
    raw = RawDetections(
        boxes_xyxy=torch.tensor([[8.0, 16.0, 24.0, 32.0]]),
        scores=torch.tensor([0.5]),
        labels=torch.tensor([1]),
        mask_probabilities=torch.ones(1, 28, 28),
    )
    found = in_image(raw, (128, 32), ("a", "b"), input_hw=(64, 64))
    assert found.boxes_xyxy.tolist() == [[4.0, 32.0, 12.0, 64.0]]
    assert found.masks[0].shape == (128, 32)
    assert found.masks[0][40, 8]
    assert not found.masks[0][70, 8]


@pytest.mark.parametrize(("noise", "most_bytes"), [(0.0, 1e5), (1.0, 4e5)])
def test_memory_does_not_grow_with_the_image(noise: float, most_bytes: float) -> None:
    corners = torch.rand(60, 2) * torch.tensor([7900.0, 5900.0])
    boxes = torch.cat((corners, corners + 90), dim=1)
    away = torch.linspace(-1, 1, 28).square()
    disc = 1 - (away[:, None] + away) / 2
    probabilities = torch.lerp(disc.expand(60, 28, 28), torch.rand(60, 28, 28), noise)
    pack_masks(probabilities[:1], boxes[:1], (100, 100))
    tracemalloc.start()
    packed = pack_masks(probabilities, boxes, (6000, 8000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e7  # as arrays: 2.9e9
    assert len(pickle.dumps(packed)) < most_bytes
