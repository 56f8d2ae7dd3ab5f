"""mmdet's detectors: each module on recorded inputs, post-processing exact, and end to end."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from golden_detectors import CASES, Recording, read_recording
from last_bit import same_boxes
from torch import Tensor

from swinkit.detection.boxes.masks import paste_masks
from swinkit.detection.boxes.suppression import best_detections, pairs_above
from swinkit.detection.config import OutputConfig, Suppression
from swinkit.detection.model import SwinRCNN
from swinkit.detection.network.base import Features
from swinkit.detection.network.roi_heads import to_rois


@pytest.fixture(scope="module", params=CASES)
def recording(golden_dir: Path, request: pytest.FixtureRequest) -> Recording:
    return read_recording(golden_dir, request.param)


@pytest.fixture(scope="module")
def detector(recording: Recording) -> SwinRCNN:
    return recording.detector()


def pyramid(recording: Recording) -> list[Tensor]:
    return [recording.values[f"out.fpn.{level}"] for level in range(5)]


def features(recording: Recording) -> Features:
    return Features(pyramid(recording), recording.values.get("out.semantic.feat"))


def near(recording: Recording, key: str, ours: Tensor) -> None:
    difference = float((ours.detach() - recording.values[key]).abs().max())
    assert difference <= recording.noise(key), f"{key}: {difference}"


def test_every_recorded_weight_has_a_place(recording: Recording) -> None:
    assert recording.detector().num_classes > 0  # its load is strict


@torch.no_grad()
def test_pyramid(recording: Recording, detector: SwinRCNN) -> None:
    values = recording.values
    for level, ours in enumerate(detector.backbone(values["input.image"])):
        near(recording, f"out.backbone.{level}", ours)
    for level, ours in enumerate(detector.fpn([values[f"out.backbone.{i}"] for i in range(4)])):
        near(recording, f"out.fpn.{level}", ours)


@torch.no_grad()
def test_proposals(recording: Recording, detector: SwinRCNN) -> None:
    values, levels = recording.values, range(5)
    for outputs, key in zip(detector.rpn(pyramid(recording)), ("rpn_cls", "rpn_bbox"), strict=True):
        for level, ours in enumerate(outputs):
            near(recording, f"out.{key}.{level}", ours)
    recorded = [
        [values[f"out.{key}.{level}"] for level in levels] for key in ("rpn_cls", "rpn_bbox")
    ]
    ((boxes, scores),) = detector.rpn.propose(
        (recorded[0], recorded[1]), [recording.size_hw], 1000, 1000
    )
    assert same_boxes(boxes, values["out.proposals.bboxes"])
    assert torch.equal(scores, values["out.proposals.scores"])


@torch.no_grad()
def test_box_heads(recording: Recording, detector: SwinRCNN) -> None:
    for stage, key in enumerate(recording.stage_keys):
        rois = recording.values[f"{key}.rois"]
        logits, deltas = detector.box_outputs(stage, features(recording), rois)
        near(recording, f"{key}.cls_score", logits)
        near(recording, f"{key}.bbox_pred", deltas)
        assert torch.equal(detector.pool_boxes.levels(rois), recording.values[f"{key}.roi_levels"])


@torch.no_grad()
@pytest.mark.parametrize("merge", ["mean", "last"])
def test_masks_of_the_recorded_detections(recording: Recording, merge: str) -> None:
    values = recording.values
    detector = recording.detector(merge=merge)
    (ours,) = detector.masks(
        features(recording), [values["out.det.bboxes_input_scale"]], [values["out.det.labels"]]
    )
    keys = [key for key in values if key.startswith("out.mask.logits_label")]
    each = torch.stack([values[key] for key in sorted(keys)])
    logits = each[-1:] if merge == "last" else each
    # A logit's noise of 1e-4 is at most a quarter of that in its probability.
    assert (ours - logits.sigmoid().mean(0)).abs().max() < 3e-5
    if "out.mask.probs_merged_label" in values:
        same = merge == (
            "last"
            if len(detector.config.roi.stages) == 3 and detector.config.roi.mask.flow
            else "mean"
        )
        difference = (ours - values["out.mask.probs_merged_label"]).abs().max()
        assert bool(difference < 3e-5) == same


@torch.no_grad()
def test_mask_logits(recording: Recording, detector: SwinRCNN) -> None:
    values = recording.values
    rois = to_rois([values["out.det.bboxes_input_scale"]])
    pooled = detector.mask_features(features(recording), rois)
    labels = values["out.det.labels"]
    rows = torch.arange(len(labels))
    before = None
    for stage, head in enumerate(detector.mask_heads):
        inputs = head.features(pooled, before)
        before = inputs if detector.config.roi.mask.flow else None
        key = "out.mask.logits_label"
        key = key if key in values else f"{key}.{stage}"
        near(recording, key, head.all_logits(inputs)[rows, labels])
        near(recording, key, head.label_logits(inputs, labels))


@torch.no_grad()
def test_semantic_branch(golden_dir: Path) -> None:
    recording = read_recording(golden_dir, "mm_htc_case1")
    semantic = recording.detector().semantic
    assert semantic is not None
    logits, shared = semantic(pyramid(recording))
    near(recording, "out.semantic.logits", logits)
    near(recording, "out.semantic.feat", shared)


@torch.no_grad()
def test_refinement_is_exact(recording: Recording, detector: SwinRCNN) -> None:
    values, keys = recording.values, recording.stage_keys
    for stage, (key, after) in enumerate(pairwise(keys)):
        (moved,) = detector.move(
            stage,
            [values[f"{key}.rois"][:, 1:]],
            values[f"{key}.cls_score"],
            values[f"{key}.bbox_pred"],
            [recording.size_hw],
        )
        assert same_boxes(moved, values[f"{after}.rois"][:, 1:])


def finished(recording: Recording, detector: SwinRCNN) -> tuple[Tensor, Tensor]:
    values, keys = recording.values, recording.stage_keys
    (boxes,), (scores,) = detector.finish(
        [values[f"{keys[-1]}.rois"][:, 1:]],
        [values[f"{key}.cls_score"] for key in keys],
        values[f"{keys[-1]}.bbox_pred"],
        [recording.size_hw],
    )
    return boxes, scores


@torch.no_grad()
def test_detections_are_exact(recording: Recording, detector: SwinRCNN) -> None:
    values, output = recording.values, detector.config.output
    boxes, scores = finished(recording, detector)
    assert same_boxes(boxes, values["out.rcnn_final.decoded_bboxes"])
    assert torch.equal(scores, values["out.rcnn_final.softmax_scores"])
    found = best_detections(pairs_above(boxes, scores, output.score_threshold)[0], output)
    assert same_boxes(found.boxes_xyxy, values["out.det.bboxes_input_scale"])
    assert torch.equal(found.scores, values["out.det.scores"])
    assert torch.equal(found.labels, values["out.det.labels"])


@torch.no_grad()
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression(recording: Recording, detector: SwinRCNN, method: str) -> None:
    key = f"out.det_softnms_{method}"
    boxes, scores = finished(recording, detector)
    output = OutputConfig(suppression=Suppression(method=method))
    found = best_detections(pairs_above(boxes, scores, 0.05)[0], output)
    dets = recording.values[f"{key}.dets"]
    assert torch.equal(found.labels, recording.values[f"{key}.labels"])
    assert same_boxes(found.boxes_xyxy, dets[:, :4])
    # Another library's exp rounds another way in its last bit.
    torch.testing.assert_close(found.scores, dets[:, 4], rtol=0, atol=1e-7)


def scale_of(recording: Recording) -> Tensor:
    across, down = recording.facts["img_metas"]["scale_factor"]
    return torch.tensor([across, down, across, down], dtype=torch.float32)


@torch.no_grad()
def test_pasted_masks_are_exact(recording: Recording) -> None:
    values = recording.values
    keys = [key for key in values if key.startswith("out.mask.logits_label")]
    probabilities = values.get("out.mask.probs_merged_label")
    if probabilities is None:
        probabilities = values[keys[0]].sigmoid()
    boxes = values["out.det.bboxes_input_scale"]
    restored = boxes / scale_of(recording)
    assert torch.equal(restored, values["out.det.bboxes"])
    height, width = recording.facts["img_metas"]["ori_shape"]
    pasted = paste_masks(probabilities, restored, (height, width))
    assert torch.equal(pasted, recording.mask("out.mask.pasted_packed").bool())
    pasted = paste_masks(probabilities[:10], boxes[:10], recording.size_hw)
    assert torch.equal(pasted, recording.mask("out.mask.pasted_norescale_packed").bool())


def matched(ours: Tensor, labels: Tensor, theirs: Tensor, their_labels: Tensor) -> Tensor:
    """For each recorded detection the nearest of ours of its class; every one is used once."""
    apart = torch.cdist(theirs, ours, p=float("inf"))
    apart = apart + 1e6 * (labels[None] != their_labels[:, None])
    nearest = apart.argmin(1)
    assert sorted(nearest.tolist()) == list(range(len(ours)))
    assert apart.min(1).values.max() < 0.01
    return nearest


@torch.no_grad()
def test_end_to_end(recording: Recording, detector: SwinRCNN) -> None:
    values = recording.values
    (found,) = detector(values["input.image"], [recording.size_hw])
    boxes, labels = values["out.det.bboxes_input_scale"], values["out.det.labels"]
    assert len(found) == len(boxes)
    rows = matched(found.boxes_xyxy, found.labels, boxes, labels)
    assert (found.scores[rows] - values["out.det.scores"]).abs().max() < 1e-4
    height, width = recording.facts["img_metas"]["ori_shape"]
    probabilities = found.mask_probabilities
    assert probabilities is not None
    restored = found.boxes_xyxy / scale_of(recording)
    theirs = recording.mask("out.mask.pasted_packed").bool()
    ours, surely, perhaps = (
        paste_masks(probabilities, restored, (height, width), threshold)[rows]
        for threshold in (0.5, 0.5 + ROUNDING, 0.5 - ROUNDING)
    )
    assert overlap(ours.flatten(), theirs.flatten()) >= 0.999
    # A single pixel is more than a thousandth of a small mask: one right at the threshold, where
    # rounding decides, counts on either side.
    settled = torch.where(perhaps & ~surely, theirs, ours)
    for own, recorded in zip(settled, theirs, strict=True):
        assert overlap(own, recorded) >= 0.999


# Probabilities differ by as much end to end; a rerun of mmdet differs from itself by a third.
ROUNDING = 5e-5


def overlap(ours: Tensor, theirs: Tensor) -> float:
    """IoU of two masks; 1 for two empty ones."""
    union = int((ours | theirs).sum())
    return 1.0 if union == 0 else int((ours & theirs).sum()) / union


@torch.no_grad()
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_end_to_end_with_soft_suppression(
    recording: Recording, detector: SwinRCNN, method: str
) -> None:
    output = OutputConfig(suppression=Suppression(method=method))
    (found,) = detector(recording.values["input.image"], [recording.size_hw], output)
    key = f"out.det_softnms_{method}"
    dets, labels = recording.values[f"{key}.dets"], recording.values[f"{key}.labels"]
    rows = matched(found.boxes_xyxy, found.labels, dets[:, :4], labels)
    assert (found.scores[rows] - dets[:, 4]).abs().max() < 1e-4


@torch.no_grad()
def test_a_batch_gives_what_its_images_give_alone(recording: Recording) -> None:
    detector = recording.detector()
    detector.config = replace(
        detector.config, output=OutputConfig(max_per_image=10), rpn=detector.config.rpn
    )
    image = recording.values["input.image"]
    (alone,) = detector(image, [recording.size_hw])
    other = torch.randn_like(image)
    for number, batch in enumerate(([image, other], [other, image])):
        found = detector(torch.cat(batch), [recording.size_hw] * 2)[number]
        assert torch.equal(found.labels, alone.labels)
        assert (found.boxes_xyxy - alone.boxes_xyxy).abs().max() < 0.01
        assert found.mask_probabilities is not None
        assert (found.mask_probabilities - alone.mask_probabilities).abs().max() < 1e-3
