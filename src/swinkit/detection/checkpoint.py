"""Detectors from weight files: configuration from tensors; what they cannot tell, from recipes.

Legend: K classes, A anchors per place, C channels.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.detection.config import (
    DetectorConfig,
    OutputConfig,
    RCNNConfig,
    RCNNKind,
    RetinaHeadConfig,
    RetinaNetConfig,
    RPNConfig,
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
from swinkit.settings import SizeHW
from swinkit.task.weights import (
    Agreement,
    Engine,
    Evidence,
    TaskWeights,
    Tensors,
    describe_backbone,
)

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector

ANCHORS_OF_REGIONS, ANCHORS_OF_RETINA = 3, 9
HTC_SCORE_THRESHOLD = 0.001
USUAL_PATCH = 4
_CLASS_ROWS = r"(box_heads\.\d+\.scores|mask_heads\.\d+\.logits|retina\.scores)\.(weight|bias)"
_CLASS_BOXES = r"box_heads\.\d+\.deltas\.(weight|bias)"


class DetectorWeights(TaskWeights[DetectorConfig]):
    """A feature pyramid with region heads, or with RetinaNet's head."""

    task = "detection"
    head_anchor = r"fpn\.lateral\.0\.weight"
    labels = {80: ("COCO", Path(__file__).with_name("coco_80.txt"))}  # noqa: RUF012
    compiled_part = "pyramid"
    takes_sizes = True
    exported_in_half = False
    # The order of nearly equal scores decides what suppression leaves, so that rounding may
    # exchange a box for another.
    same_answers = 0.98

    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> DetectorConfig:
        return DetectorConfig.from_dict(values)

    def infer(self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> DetectorConfig:
        """Reads of `evidence.settings`: "mask_merge", how HTC's masks become one ("last" or
        "mean"), and "recorded" settings of proposals, box coding and output."""
        channels = _rows(tensors, "fpn.output.0.weight", evidence)
        try:
            if "retina.scores.weight" in tensors:
                config = _retina(tensors, backbone, channels, evidence)
            else:
                config = _regions(tensors, backbone, channels, evidence)
        except ConfigError as error:
            raise CheckpointError(f"{evidence.origin}: {error}") from error
        return _with_recorded(config, evidence)

    def class_tensors(self, tensors: Tensors, config: DetectorConfig) -> list[str]:
        """Box regressors too, unless one box serves all classes."""
        expression = _CLASS_ROWS if config.class_agnostic else f"{_CLASS_ROWS}|{_CLASS_BOXES}"
        return [name for name in tensors if re.fullmatch(expression, name)]

    def small_map_rule(self, version: int) -> SmallMapRule:
        return "keep"

    def graph(self, model: "SwinDetector") -> tuple[nn.Module, tuple[str, ...]]:
        """With its decoding and suppression."""
        from swinkit.detection.exported import DetectionGraph

        return DetectionGraph(model), DetectionGraph.outputs(model)

    def compare(self, found: Any, expected: Any, image_hw: SizeHW) -> Agreement:
        from swinkit.detection.same_objects import compare_detections

        return compare_detections(found, expected, image_hw)

    def runner(self, engine: Engine, config: DetectorConfig) -> Callable[..., Any]:
        from swinkit.detection.exported import ExportedDetector

        return ExportedDetector(engine, config)

    def build(self, config: DetectorConfig) -> "SwinDetector":
        from swinkit.detection.model import SwinDetector

        return SwinDetector.from_config(config)

    def differences(self, config: DetectorConfig, assumed: Mapping[str, Any]) -> list[str]:
        found = []
        mask = None
        if config.backbone.patch_size != USUAL_PATCH:
            found.append(f"strides {config.backbone.strides}")
        if isinstance(config, RCNNConfig):
            mask, usual = config.roi.mask, RPNConfig()
            scale, ratios = config.rpn.scale, config.rpn.ratios
            if (scale, ratios) != (usual.scale, usual.ratios):
                found.append(f"anchors of scale {scale:g} and ratios {ratios}")
            stds = [stage.stds for stage in config.roi.stages]
            if stds != [stage.stds for stage in default_roi(config.kind).stages]:
                found.append(f"stds of box deltas {stds}")
        found = [f"set in the target's configuration: {text}" for text in found]
        merge = assumed.get("mask_merge")
        if mask is not None and mask.flow and mask.merge != merge:
            found.append(f"the target takes HTC's masks by {merge}, this model by {mask.merge}")
        return found

    def describe(self, config: DetectorConfig) -> str:
        heads = f"{config.kind}, pyramid of {config.fpn_channels} channels"
        return f"{heads}, {config.num_classes} classes; {describe_backbone(config.backbone)}"


def _retina(
    tensors: Tensors, backbone: SwinConfig, channels: int, evidence: Evidence
) -> DetectorConfig:
    anchors = _rows(tensors, "retina.deltas.weight", evidence) // 4
    if anchors != ANCHORS_OF_RETINA:
        raise CheckpointError(
            f"{evidence.origin}: RetinaNet's head has {anchors} anchors per place; swinkit builds "
            f"{ANCHORS_OF_RETINA}, three sizes of three shapes"
        )
    evidence.notes.append("by the published recipe: anchors, focal loss, box coding")
    return RetinaNetConfig(
        backbone=backbone,
        num_classes=_rows(tensors, "retina.scores.weight", evidence) // anchors,
        fpn_channels=channels,
        retina=RetinaHeadConfig(num_convs=_count(tensors, r"retina\.class_convs\.(\d+)\..*")),
    )


def _regions(
    tensors: Tensors, backbone: SwinConfig, channels: int, evidence: Evidence
) -> DetectorConfig:
    where = evidence.origin
    if _rows(tensors, "rpn.objectness.weight", evidence) != ANCHORS_OF_REGIONS:
        raise CheckpointError(
            f"{where}: its region proposals do not use {ANCHORS_OF_REGIONS} anchors per place; "
            "swinkit builds one size of three shapes"
        )
    classes = _rows(tensors, "box_heads.0.scores.weight", evidence) - 1
    mask, semantic = _mask(tensors, evidence), _semantic(tensors)
    stages = _count(tensors, r"box_heads\.(\d+)\..*")
    if stages not in (1, len(CASCADE_STAGES)):
        raise CheckpointError(
            f"{where} has {stages} stages of box heads; swinkit knows the settings of 1 and 3"
        )
    box = _box(tensors, classes, stages, evidence)
    kind = _kind(stages, mask, semantic)
    roi = default_roi(kind)
    original = kind != "htc" and stages > 1 and box.num_convs == 0
    if original:  # Cascade R-CNN as first published, without convolutions, trains its deltas
        roi = replace(roi, box_loss="smooth_l1", box_loss_weight=1.0)
    roi = replace(roi, box=box, mask=mask, semantic=semantic)
    evidence.notes.append(_recipe(kind, roi.box_loss, mask))
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


def _box(tensors: Tensors, classes: int, stages: int, evidence: Evidence) -> BoxHeadConfig:
    """Of the first stage; filling the model compares the other stages' shapes with it."""
    where = evidence.origin
    convs = _count(tensors, r"box_heads\.0\.convs\.(\d+)\..*")
    fcs = _count(tensors, r"box_heads\.0\.fcs\.(\d+)\..*")
    if not fcs:
        raise CheckpointError(f"{where}: its box head has no linear layer; swinkit builds one")
    first = tensors["box_heads.0.fcs.0.weight"]
    conv_name = "box_heads.0.convs.0.conv.weight" if convs else "fpn.output.0.weight"
    width = _rows(tensors, conv_name, evidence)
    side = math.isqrt(int(first.shape[1]) // width)
    if side * side * width != first.shape[1]:
        raise CheckpointError(
            f"{where}: the box head's first linear layer takes {first.shape[1]} numbers, no "
            f"square of {width} channels"
        )
    deltas = _rows(tensors, "box_heads.0.deltas.weight", evidence)
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


def _mask(tensors: Tensors, evidence: Evidence) -> MaskHeadConfig | None:
    if "mask_heads.0.logits.weight" not in tensors:
        return None
    flow = any(re.fullmatch(r"mask_heads\.\d+\.flow\.weight", name) for name in tensors)
    merge: MaskMerge = evidence.settings.get("mask_merge", "mean") if flow else "mean"
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


def _with_recorded(config: DetectorConfig, evidence: Evidence) -> DetectorConfig:
    """Box scales and the choice of detections as the training recorded them, where it did."""
    recorded = dict(evidence.settings.get("recorded", {}))
    values = config.to_dict()
    stds = recorded.pop("stds", [])
    stages = values.get("roi", {}).get("stages", [])
    if len(stds) == len(stages) and None not in stds:
        recorded["roi"] = {
            "stages": [{**stage, "stds": own} for stage, own in zip(stages, stds, strict=True)]
        }
    try:
        changed = DetectorConfig.from_dict(_merged(values, recorded))
    except (ConfigError, TypeError, ValueError):
        evidence.notes.append(
            "its recorded configuration makes no sense to swinkit and is left aside"
        )
        return config
    if changed != config:
        evidence.notes.append(
            "anchors, box coding and choice of detections from its recorded configuration"
        )
    return changed


def _merged(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with some of them changed; what a configuration does not have stays so."""
    merged = dict(values)
    for name, change in changes.items():
        own = values.get(name)
        if isinstance(own, dict) and isinstance(change, Mapping):
            merged[name] = _merged(own, change)
        elif own is not None:
            merged[name] = change
    return merged


def _count(tensors: Mapping[str, object], expression: str) -> int:
    """How many numbers a module list has."""
    return len(
        {match[1] for match in (re.fullmatch(expression, name) for name in tensors) if match}
    )


def _rows(tensors: Tensors, name: str, evidence: Evidence) -> int:
    """First axis of a tensor that must be there."""
    if name not in tensors:
        raise CheckpointError(f"{evidence.origin} lacks {name}; its heads are incomplete")
    return int(tensors[name].shape[0])


WEIGHTS = DetectorWeights()
