"""One recorded training step of mmdet's detectors: samples injected, losses and gradients."""

from pathlib import Path

import pytest
import torch
from golden_detectors import CASES, Recording, native_gradients, native_name, read_recording
from torch import Tensor

from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.model import SwinRCNN
from swinkit.detection.network.base import Features


@pytest.fixture(scope="module", params=CASES)
def recording(golden_dir: Path, request: pytest.FixtureRequest) -> Recording:
    return read_recording(golden_dir, request.param)


class Recorded:
    """Hands out the recorded samples, after a look at the assignments they were drawn from."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.number = 0

    def __call__(
        self, assigned: Tensor, number: int, positive_fraction: float
    ) -> tuple[Tensor, Tensor]:
        assert (number, positive_fraction) == (512, 0.25)
        values, key = self.recording.values, f"loss.sample{self.number}"
        num_objects = len(values["loss.gt_labels"])
        assert torch.equal(assigned[num_objects:], values[f"{key}.assigned_gt_inds"].long())
        assert assigned[:num_objects].tolist() == list(range(1, num_objects + 1))
        self.number += 1
        return values[f"{key}.pos_inds"], values[f"{key}.neg_inds"]


class RecordedAnchors:
    """Hands out the recorded sample of anchors."""

    def __init__(self, recording: Recording) -> None:
        self.values = recording.values

    def __call__(
        self, assigned: Tensor, number: int, positive_fraction: float
    ) -> tuple[Tensor, Tensor]:
        assert (number, positive_fraction) == (256, 0.5)
        assert torch.equal(assigned, self.values["loss.rpn.assigned_gt_inds"].long())
        return self.values["loss.rpn.pos_inds"], self.values["loss.rpn.neg_inds"]


def padded_masks(recording: Recording) -> bool:
    return recording.facts["config"]["data_preprocessor"].get("pad_mask", False)


def semantic_maps(recording: Recording) -> Tensor | None:
    labels = recording.values.get("loss.gt_sem_seg")
    if labels is None:
        return None
    height, width = recording.values["input.image"].shape[-2:]
    grown = torch.full((1, height, width), 255)
    grown[0, : labels.shape[0], : labels.shape[1]] = labels
    return grown


def rpn_losses(
    recording: Recording, detector: SwinRCNN, maps: list[Tensor], targets: list[InstanceTarget]
) -> dict[str, Tensor]:
    return detector.rpn.losses(detector.rpn(maps), targets, RecordedAnchors(recording))


def step(recording: Recording, detector: SwinRCNN) -> dict[str, Tensor]:
    """Losses of the recorded step, on the recorded proposals."""
    values = recording.values
    targets: list[InstanceTarget] = [recording.target(padded=padded_masks(recording))]
    maps = detector.pyramid(values["input.image"])
    losses = rpn_losses(recording, detector, maps, targets)
    sampler = Recorded(recording)
    proposals = [values["loss.proposals.bboxes"]]
    losses |= detector.head_losses(maps, proposals, targets, sampler, semantic_maps(recording))
    assert f"loss.sample{sampler.number}.pos_inds" not in values
    return losses


def expected(recording: Recording) -> dict[str, float]:
    """The recorded terms by swinkit's names."""
    logged = dict(recording.facts["losses_logged"])
    found = {"rpn_objectness": logged["loss_rpn_cls"], "rpn_box": logged["loss_rpn_bbox"]}
    for stage in range(3):
        prefix = "" if "loss_cls" in logged else f"s{stage}."
        for ours, theirs in (("class", "cls"), ("box", "bbox"), ("mask", "mask")):
            if f"{prefix}loss_{theirs}" in logged:
                found[f"s{stage}_{ours}"] = logged.pop(f"{prefix}loss_{theirs}")
    if "loss_semantic_seg" in logged:
        found["semantic"] = logged["loss_semantic_seg"]
    return found


def test_losses(recording: Recording) -> None:
    losses = step(recording, recording.detector().train())
    wanted = expected(recording)
    assert set(losses) == set(wanted)
    for name, value in wanted.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5, abs=1e-5), name


def stage_by_stage(
    recording: Recording, detector: SwinRCNN, maps: list[Tensor], targets: list[InstanceTarget]
) -> dict[str, Tensor]:
    """Losses of a cascade whose every stage starts from the recorded boxes."""
    losses: dict[str, Tensor] = {}
    sampler = Recorded(recording)
    for stage in range(len(detector.box_heads)):
        key = f"loss.sample{stage}.priors" if stage else "loss.proposals.bboxes"
        boxes = [recording.values[key]]
        found, _ = detector.stage_losses(stage, Features(maps), boxes, targets, sampler)
        losses |= found
    return losses


def test_gradients(recording: Recording) -> None:
    """In float64: a rectifier's input that float32 rounds across zero moves gradients by 1e-3.

    For the same reason the cascade's stages start from the recorded boxes: ours differ from them
    in the last bits.
    """
    exact = recording.double()
    detector = recording.detector().double().train()
    if detector.config.kind == "cascade_mask_rcnn":
        targets = [exact.target(padded=True)]
        maps = detector.pyramid(exact.values["input.image"])
        losses = rpn_losses(exact, detector, maps, targets)
        losses |= stage_by_stage(exact, detector, maps, targets)
    else:
        losses = step(exact, detector)
    torch.stack(list(losses.values())).sum().backward()
    found = {name: parameter.grad for name, parameter in detector.named_parameters()}
    for name, wanted in native_gradients(recording).items():
        difference = (found[name] - wanted).abs().max()
        assert difference <= 1e-4 * wanted.abs().max(), f"{name}: {difference}"
    for name, stats in recording.facts["grad_stats"].items():
        if not name.startswith("backbone."):
            norm = found[native_name(name)].norm().item()
            assert norm == pytest.approx(stats["norm"], rel=1e-4, abs=1e-6), name


def test_gradients_reach_everything_in_float32(recording: Recording) -> None:
    detector = recording.detector().train()
    torch.stack(list(step(recording, detector).values())).sum().backward()
    found = {name: parameter.grad for name, parameter in detector.named_parameters()}
    assert all(value is not None for value in found.values())
    for name, wanted in native_gradients(recording).items():
        difference = (found[name] - wanted).abs().max()
        assert difference <= 5e-3 * wanted.abs().max(), f"{name}: {difference}"


def test_batch_statistics_of_the_step(golden_dir: Path) -> None:
    recording = read_recording(golden_dir, "mm_cascade_case1")
    detector = recording.detector().train()
    step(recording, detector)
    after = {
        native_name(key.removeprefix("loss.bn_after.")): value
        for key, value in recording.values.items()
        if key.startswith("loss.bn_after.")
    }
    state = detector.state_dict()
    assert len(after) == 24
    for name, value in after.items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-5)
