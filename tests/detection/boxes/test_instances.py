"""Targets and raw detections refuse shapes that do not fit, and move as one."""

import pytest
import torch

from swinkit.detection.boxes.instances import InstanceTarget, RawDetections
from swinkit.errors import DataError


def target(**changes: object) -> InstanceTarget:
    given = {
        "boxes_xyxy": torch.tensor([[0.0, 0.0, 4.0, 5.0], [1.0, 1.0, 3.0, 3.0]]),
        "labels": torch.tensor([2, 0]),
        "size_hw": (8, 9),
        "masks": torch.ones(2, 8, 9, dtype=torch.uint8),
    }
    return InstanceTarget(**(given | changes))


def test_sound_target() -> None:
    assert len(target()) == 2
    assert target().ignored_xyxy.shape == (0, 4)
    empty = target(boxes_xyxy=torch.zeros(0, 4), labels=torch.zeros(0).long(), masks=None)
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("boxes_xyxy", torch.zeros(2, 5)),
        ("boxes_xyxy", torch.zeros(8)),
        ("ignored_xyxy", torch.zeros(4)),
        ("labels", torch.zeros(3).long()),
        ("masks", torch.zeros(3, 8, 9)),
        ("masks", torch.zeros(8, 9)),
    ],
)
def test_shapes_that_do_not_fit(name: str, value: torch.Tensor) -> None:
    with pytest.raises(DataError, match=rf"^target {name}: expected shape .* got \("):
        target(**{name: value})


def test_every_tensor_moves() -> None:
    moved = target().to("meta")
    for tensor in (moved.boxes_xyxy, moved.labels, moved.masks, moved.ignored_xyxy):
        assert tensor is not None
        assert tensor.device.type == "meta"
    assert target(masks=None).to("meta").masks is None


def test_raw_detections_are_selected_as_one() -> None:
    raw = RawDetections(
        boxes_xyxy=torch.rand(3, 4),
        scores=torch.tensor([0.9, 0.5, 0.1]),
        labels=torch.tensor([0, 1, 2]),
        mask_probabilities=torch.rand(3, 28, 28),
    )
    chosen = raw.select(raw.scores > 0.3)
    assert len(chosen) == 2
    assert chosen.labels.tolist() == [0, 1]
    assert chosen.mask_probabilities is not None
    assert torch.equal(chosen.mask_probabilities, raw.mask_probabilities[:2])
