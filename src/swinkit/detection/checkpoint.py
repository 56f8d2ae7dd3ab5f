"""A detector's whole configuration from its tensors; what they cannot tell, from the recipes.

Legend: K classes, A anchors per place, C channels.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.keymap import Tensors
from swinkit.detection.config import (
    DetectorConfig,
    OutputConfig,
    RCNNConfig,
    RCNNKind,
    RetinaHeadConfig,
    RetinaNetConfig,
    default_roi,
)
from swinkit.detection.roi_config import (
    CASCADE_STAGES,
    BoxHeadConfig,
    MaskHeadConfig,
    MaskMerge,
    Norm,
    SemanticConfig,
)
from swinkit.errors import CheckpointError, ConfigError

ANCHORS_OF_REGIONS, ANCHORS_OF_RETINA = 3, 9
HTC_SCORE_THRESHOLD = 0.001


def infer_detector(
    tensors: Tensors,
    backbone: SwinConfig,
    notes: list[str],
    *,
    last_mask: bool,
    where: str,
) -> DetectorConfig:
    """Everything `DetectorConfig` needs.

    Args:
        tensors: neck and heads in native names.
        notes: gets a line for each thing that a published recipe decides.
        last_mask: whether the source takes HTC's masks from the last stage (mmdet 3) instead of
            the mean of all (mmdet 2 and the paper).

    Raises:
        CheckpointError: heads that swinkit does not build, or tensors that contradict each other.
    """
    channels = _rows(tensors, "fpn.output.0.weight", where)
    try:
        if "retina.scores.weight" in tensors:
            return _retina(tensors, backbone, channels, notes, where)
        return _regions(tensors, backbone, channels, notes, last_mask, where)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _retina(
    tensors: Tensors, backbone: SwinConfig, channels: int, notes: list[str], where: str
) -> DetectorConfig:
    anchors = _rows(tensors, "retina.deltas.weight", where) // 4
    if anchors != ANCHORS_OF_RETINA:
        raise CheckpointError(
            f"{where}: RetinaNet's head has {anchors} anchors per place; swinkit builds "
            f"{ANCHORS_OF_RETINA}, three sizes of three shapes"
        )
    notes.append("by the published recipe: anchors, focal loss, box coding")
    return RetinaNetConfig(
        backbone=backbone,
        num_classes=_rows(tensors, "retina.scores.weight", where) // anchors,
        fpn_channels=channels,
        retina=RetinaHeadConfig(num_convs=_count(tensors, r"retina\.class_convs\.(\d+)\..*")),
    )


def _regions(
    tensors: Tensors,
    backbone: SwinConfig,
    channels: int,
    notes: list[str],
    last_mask: bool,
    where: str,
) -> DetectorConfig:
    if _rows(tensors, "rpn.objectness.weight", where) != ANCHORS_OF_REGIONS:
        raise CheckpointError(
            f"{where}: its region proposals do not use {ANCHORS_OF_REGIONS} anchors per place; "
            "swinkit builds one size of three shapes"
        )
    classes = _rows(tensors, "box_heads.0.scores.weight", where) - 1
    mask, semantic = _mask(tensors, last_mask), _semantic(tensors)
    stages = _count(tensors, r"box_heads\.(\d+)\..*")
    if stages not in (1, len(CASCADE_STAGES)):
        raise CheckpointError(
            f"{where} has {stages} stages of box heads; swinkit knows the settings of 1 and 3"
        )
    box = _box(tensors, classes, stages, where)
    kind = _kind(stages, mask, semantic)
    roi = default_roi(kind)
    plain = kind != "htc" and stages > 1 and box.num_convs == 0
    if plain:  # the original Cascade R-CNN, without convolutions, trains its deltas
        roi = replace(roi, box_loss="smooth_l1", box_loss_weight=1.0)
    roi = replace(roi, box=box, mask=mask, semantic=semantic)
    notes.append(_recipe(kind, roi.box_loss, mask))
    score_threshold = HTC_SCORE_THRESHOLD if kind == "htc" else OutputConfig().score_threshold
    return RCNNConfig(
        backbone=backbone,
        num_classes=classes,
        kind=kind,
        fpn_channels=channels,
        roi=roi,
        output=OutputConfig(score_threshold=score_threshold),
    )


def _kind(stages: int, mask: MaskHeadConfig | None, semantic: SemanticConfig | None) -> RCNNKind:
    if mask is not None and (mask.flow or semantic is not None):
        return "htc"
    if stages == 1:
        return "mask_rcnn" if mask else "faster_rcnn"
    return "cascade_mask_rcnn" if mask else "cascade_rcnn"


def _recipe(kind: RCNNKind, box_loss: str, mask: MaskHeadConfig | None) -> str:
    parts = ["anchors", "box coding", "overlap thresholds", f"box loss {box_loss}"]
    if kind == "htc" and mask is not None:
        parts.append(f"masks from {'the last stage' if mask.merge == 'last' else 'all stages'}")
    return f"by the published recipe of {kind}: {', '.join(parts)}"


def _box(tensors: Tensors, classes: int, stages: int, where: str) -> BoxHeadConfig:
    """Of the first stage; `fill` compares the other stages' shapes with it."""
    convs = _count(tensors, r"box_heads\.0\.convs\.(\d+)\..*")
    fcs = _count(tensors, r"box_heads\.0\.fcs\.(\d+)\..*")
    if not fcs:
        raise CheckpointError(f"{where}: its box head has no linear layer; swinkit builds one")
    first = tensors["box_heads.0.fcs.0.weight"]
    conv_name = "box_heads.0.convs.0.conv.weight" if convs else "fpn.output.0.weight"
    width = _rows(tensors, conv_name, where)
    side = math.isqrt(int(first.shape[1]) // width)
    if side * side * width != first.shape[1]:
        raise CheckpointError(
            f"{where}: the box head's first linear layer takes {first.shape[1]} numbers, no "
            f"square of {width} channels"
        )
    deltas = _rows(tensors, "box_heads.0.deltas.weight", where)
    norm: Norm = "none"
    if "box_heads.0.convs.0.norm.running_mean" in tensors:
        norm = "sync_batch" if stages > 1 else "batch"
    elif "box_heads.0.convs.0.norm.weight" in tensors:
        norm = "group"
    return BoxHeadConfig(
        num_convs=convs,
        conv_channels=width if convs else BoxHeadConfig().conv_channels,
        num_fcs=fcs,
        fc_channels=int(first.shape[0]),
        norm=norm,
        class_agnostic=deltas == 4 and classes > 1,
        roi_size=side,
    )


def _mask(tensors: Tensors, last_mask: bool) -> MaskHeadConfig | None:
    if "mask_heads.0.logits.weight" not in tensors:
        return None
    flow = any(re.fullmatch(r"mask_heads\.\d+\.flow\.weight", name) for name in tensors)
    merge: MaskMerge = "last" if flow and last_mask else "mean"
    return MaskHeadConfig(
        num_convs=_count(tensors, r"mask_heads\.0\.convs\.(\d+)\..*"),
        channels=int(tensors["mask_heads.0.logits.weight"].shape[1]),
        flow=flow,
        merge=merge,
    )


def _semantic(tensors: Tensors) -> SemanticConfig | None:
    logits = tensors.get("semantic.logits.weight")
    if logits is None:
        return None
    return SemanticConfig(
        num_classes=int(logits.shape[0]),
        channels=int(logits.shape[1]),
        num_convs=_count(tensors, r"semantic\.convs\.(\d+)\..*"),
    )


def _count(tensors: Mapping[str, object], expression: str) -> int:
    """How many numbers a module list has."""
    return len(
        {match[1] for match in (re.fullmatch(expression, name) for name in tensors) if match}
    )


def _rows(tensors: Tensors, name: str, where: str) -> int:
    """First axis of a tensor that must be there."""
    if name not in tensors:
        raise CheckpointError(f"{where} lacks {name}; its heads are incomplete")
    return int(tensors[name].shape[0])
