"""Every operator on boxes against what mmdet and mmcv computed (../shared/golden/mm_ops_unit)."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from box_strategies import multiclass_nms
from last_bit import same_boxes, same_deltas
from safetensors.torch import load_file
from torch import Tensor

from swinkit.detection.boxes.anchors import AnchorGrid
from swinkit.detection.boxes.assignment import assign
from swinkit.detection.boxes.geometry import (
    BoxCoder,
    giou,
    giou_loss,
    l1,
    pairwise_coverage,
    pairwise_iou,
    smooth_l1,
)
from swinkit.detection.boxes.masks import mask_targets, paste_masks
from swinkit.detection.boxes.pooling import RoIPooling
from swinkit.detection.boxes.suppression import grouped_nms, soft_nms
from swinkit.detection.config import Suppression

STDS = {
    "rpn": (1.0, 1.0, 1.0, 1.0),
    "s0": (0.1, 0.1, 0.2, 0.2),
    "s1": (0.05, 0.05, 0.1, 0.1),
    "s2": (0.033, 0.033, 0.067, 0.067),
}


@pytest.fixture(scope="module")
def golden(golden_dir: Path) -> dict[str, Tensor]:
    return load_file(golden_dir / "mm_ops_unit.safetensors")


@pytest.fixture(scope="module")
def notes(golden_dir: Path) -> dict[str, object]:
    return json.loads((golden_dir / "mm_ops_unit.json").read_text())


def test_anchors(golden: dict[str, Tensor], notes: dict[str, object]) -> None:
    grid = AnchorGrid((4, 8, 16, 32, 64))
    for level, anchors in enumerate(grid(notes["anchors_sizes_hw"])):
        assert torch.equal(grid.base(level), golden[f"anchors.base.{level}"])
        assert torch.equal(anchors, golden[f"anchors.grid.{level}"])


@pytest.mark.parametrize("stage", STDS)
def test_coder(golden: dict[str, Tensor], notes: dict[str, object], stage: str) -> None:
    coder = BoxCoder(STDS[stage])
    boxes, truth = golden["coder.boxes"], golden["coder.gt"]
    deltas, several = golden["coder.deltas"], golden["coder.deltas_multi"]
    clipped = golden[f"coder.{stage}.decoded_clip"]
    size_hw = (int(clipped[:, 1::2].max()), int(clipped[:, 0::2].max()))
    assert same_deltas(coder.encode(boxes, truth), golden[f"coder.{stage}.encoded"])
    assert same_boxes(coder.decode(boxes, deltas), golden[f"coder.{stage}.decoded_noclip"])
    assert same_boxes(coder.decode(boxes, deltas, size_hw), clipped)
    expected = golden[f"coder.{stage}.decoded_multi"]
    assert same_boxes(coder.decode(boxes, several, size_hw), expected)


def test_overlaps(golden: dict[str, Tensor]) -> None:
    boxes, truth = golden["coder.boxes"], golden["coder.gt"]
    rows, columns = golden["overlaps.iou"].shape
    first, second = boxes[:rows], truth[:columns]
    assert torch.equal(pairwise_iou(first, second), golden["overlaps.iou"])
    assert torch.equal(pairwise_coverage(first, second), golden["overlaps.iof"])
    assert torch.equal(pairwise_iou(boxes, truth).diagonal(), golden["overlaps.iou_aligned"])
    assert torch.equal(pairwise_coverage(boxes, truth).diagonal(), golden["overlaps.iof_aligned"])
    assert torch.equal(giou(boxes, truth), golden["overlaps.giou_aligned"])
    pairs = giou(first.repeat_interleave(columns, 0), second.repeat(rows, 1))
    assert torch.equal(pairs.view(rows, columns), golden["overlaps.giou"])


@pytest.mark.parametrize(("by_rows", "tolerance"), [(False, 0.0), (True, 1e-6)])
@pytest.mark.parametrize("size", [7, 14])
def test_roi_align(golden: dict[str, Tensor], size: int, by_rows: bool, tolerance: float) -> None:
    features, rois = golden["roialign.feat"], golden["roialign.rois"]
    pooled = RoIPooling(size, strides=(8,), by_rows=by_rows)([features], rois)
    assert (pooled - golden[f"roialign.out{size}"]).abs().max() <= tolerance


@pytest.mark.parametrize("by_rows", [False, True])
def test_roi_align_gradient(golden: dict[str, Tensor], by_rows: bool) -> None:
    features = golden["roialign.feat"].clone().requires_grad_()
    pooled = RoIPooling(7, strides=(8,), by_rows=by_rows)([features], golden["roialign.rois"])
    (pooled * golden["roialign.grad_weight"]).sum().backward()
    assert features.grad is not None
    assert (features.grad - golden["roialign.grad_feat"]).abs().max() <= 2e-5


def test_roi_levels(golden: dict[str, Tensor]) -> None:
    levels = RoIPooling(7).levels(golden["roilevels.rois"])
    assert torch.equal(levels, golden["roilevels.levels"])


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
def test_hard_nms(golden: dict[str, Tensor], iou: float) -> None:
    boxes, scores = golden["nms.boxes"], golden["nms.scores"]
    kept = grouped_nms(boxes, scores, torch.zeros(len(scores), dtype=torch.int64), iou)
    assert torch.equal(kept, golden[f"nms.hard{iou}.keep"])
    dets = torch.cat([boxes[kept], scores[kept, None]], 1)
    assert torch.equal(dets, golden[f"nms.hard{iou}.dets"])


def test_grouped_nms(golden: dict[str, Tensor]) -> None:
    kept = grouped_nms(golden["nms.boxes"], golden["nms.scores"], golden["nms.ids"], 0.5)
    assert torch.equal(kept, golden["nms.batched0.5.keep"])


@pytest.mark.parametrize("name", ["soft_linear", "soft_gaussian", "batched_soft"])
def test_soft_nms(golden: dict[str, Tensor], name: str) -> None:
    boxes, scores, groups = golden["nms.boxes"], golden["nms.scores"], golden["nms.ids"]
    method = "gaussian" if name == "soft_gaussian" else "linear"
    groups = groups if name == "batched_soft" else torch.zeros_like(groups)
    final, kept = soft_nms(boxes, scores, groups, Suppression(method=method))
    assert torch.equal(kept, golden[f"nms.{name}.keep"])
    # expf of the C++ library and of PyTorch differ in the last bit.
    tolerance = 1.2e-7 if method == "gaussian" else 0.0
    assert (final - golden[f"nms.{name}.dets"][:, 4]).abs().max() <= tolerance


@pytest.mark.parametrize("name", ["multi", "multi_agnostic_box"])
def test_multiclass_nms(golden: dict[str, Tensor], name: str) -> None:
    boxes, scores = golden["nms.multi.boxes"], golden["nms.multi.scores"]
    expected = golden[f"nms.{name}.dets"]
    found, best, labels, rows = multiclass_nms(
        boxes if name == "multi" else boxes[:, :4],
        scores,
        score_threshold=0.05,
        suppression=Suppression(),
        max_per_image=len(expected),
    )
    assert torch.equal(torch.cat([found, best[:, None]], 1), expected)
    assert torch.equal(labels, golden[f"nms.{name}.labels"])
    assert torch.equal(scores[rows, labels], best)


def test_paste(golden: dict[str, Tensor], notes: dict[str, object]) -> None:
    height, width = notes["paste_img_hw"]
    pasted = paste_masks(golden["paste.probs"][:, 0], golden["paste.boxes"], (height, width))
    expected = golden["paste.out"] >= 0.5
    # The last box has no width: the reference draws its middle across the whole image.
    assert expected[-1].any()
    expected[-1] = False
    assert torch.equal(pasted, expected)


def test_mask_targets(golden: dict[str, Tensor]) -> None:
    targets = mask_targets(
        golden["masktarget.masks"], golden["masktarget.boxes"], golden["masktarget.inds"], 28
    )
    assert torch.equal(targets, golden["masktarget.binary"].float())


@pytest.mark.parametrize("name", ["rpn", "rcnn", "rcnn_lq"])
def test_assignment(golden: dict[str, Tensor], name: str) -> None:
    rpn = name == "rpn"
    candidates, objects = golden["assign.priors"], golden["assign.gt"]
    assigned = assign(
        candidates,
        objects,
        positive=0.7 if rpn else 0.5,
        negative=0.3 if rpn else 0.5,
        min_positive=0.3 if rpn else 0.5,
        low_quality=name != "rcnn",
    )
    assert torch.equal(assigned, golden[f"assign.{name}.gt_inds"])
    overlaps = pairwise_iou(objects, candidates).amax(0)
    assert torch.equal(overlaps, golden[f"assign.{name}.max_overlaps"])


def test_losses(golden: dict[str, Tensor], notes: dict[str, object]) -> None:
    expected = notes["loss_values"]
    deltas = golden["coder.deltas"]
    boxes = giou_loss(golden["coder.boxes"], golden["coder.gt"])
    logits, labels = golden["losses.logits"], golden["losses.labels"]
    weights = golden["losses.label_weights"]
    entropy = F.cross_entropy(logits, labels, reduction="none")
    ours = {
        "giou_w10_avg64": 10 * boxes.sum() / 64,
        "l1_avg64": l1(deltas, torch.ones(64, 4)).sum() / 64,
        "smoothl1_beta1_avg64": smooth_l1(deltas, torch.ones(64, 4), 1.0).sum() / 64,
        "smoothl1_beta1_9_avg64": smooth_l1(deltas, torch.ones(64, 4), 1 / 9).sum() / 64,
        "ce_avg40": (entropy * weights).sum() / 40,
    }
    for name, value in ours.items():
        assert float(value) == pytest.approx(expected[name], abs=1e-5), name
