"""Necks and heads of detectors and segmenters under other packages' names."""

import re

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.detectors import detector_entries
from swinkit.checkpoints.keymap import Entry, Tensors
from swinkit.checkpoints.native import AnyConfig
from swinkit.checkpoints.segmenters import UPERNET_HUGGINGFACE, UPERNET_OPENMMLAB
from swinkit.checkpoints.translation import translate
from swinkit.detection.config import DetectorConfig, RCNNConfig, RPNConfig, default_roi
from swinkit.errors import CheckpointError
from swinkit.segmentation.config import SegmenterConfig

_DETECTOR_LAYOUTS = ("native", "mmdet", "microsoft")
_SEGMENTER_LAYOUTS = ("native", "mmseg", "microsoft", "huggingface")
HUGGINGFACE_AUXILIARY_STAGE = 2
USUAL_PATCH = 4


def head_obstacles(config: AnyConfig, to: str) -> list[str]:
    """Why the layout has no place for these heads; empty where it has, and for classifiers."""
    if isinstance(config, SwinConfig):
        return []
    detector = isinstance(config, DetectorConfig)
    layouts = _DETECTOR_LAYOUTS if detector else _SEGMENTER_LAYOUTS
    if to not in layouts:
        what = "detectors" if detector else "segmenters"
        return [f"{what} go to {', '.join(layouts)}, not to {to}"]
    if isinstance(config, SegmenterConfig):
        return _segmenter_obstacles(config, to)
    return []


def _segmenter_obstacles(config: SegmenterConfig, to: str) -> list[str]:
    found = []
    if config.decoder != "upernet":
        found.append(f"it has no {config.decoder} decoder of this kind")
    stage = config.auxiliary_stage
    if to == "huggingface" and stage not in (None, HUGGINGFACE_AUXILIARY_STAGE):
        found.append(f"its auxiliary head reads stage 3, this model's stage {stage}")
    return found


def written_heads(tensors: Tensors, config: AnyConfig, to: str) -> Tensors:
    """Necks and heads, named relative to the whole model.

    Raises:
        CheckpointError: a tensor that the layout has no name for.
    """
    done = translate(tensors, _rows(tensors, config, to), "foreign")
    unknown = done.left + done.incomplete
    if unknown:
        raise CheckpointError(f"layout {to} has no name for {unknown[0]}")
    return {name: value.contiguous() for name, value in done.tensors.items()}


def _rows(tensors: Tensors, config: AnyConfig, to: str) -> tuple[Entry, ...]:
    if isinstance(config, SegmenterConfig):
        return UPERNET_HUGGINGFACE if to == "huggingface" else UPERNET_OPENMMLAB
    assert isinstance(config, DetectorConfig)
    levels = sum(bool(re.fullmatch(r"fpn\.lateral\.\d+\.weight", name)) for name in tensors)
    return detector_entries(
        levels,
        cascade=isinstance(config, RCNNConfig) and len(config.roi.stages) > 1,
        group_norm=isinstance(config, RCNNConfig) and config.roi.box.norm == "group",
    )


def head_differences(config: AnyConfig, to: str) -> list[str]:
    """What the target's own configuration must say for the same results."""
    if not isinstance(config, DetectorConfig):
        return []
    found = []
    if config.backbone.patch_size != USUAL_PATCH:
        found.append(f"set in the target's configuration: strides {config.backbone.strides}")
    if not isinstance(config, RCNNConfig):
        return found
    usual = RPNConfig()
    if (config.rpn.scale, config.rpn.ratios) != (usual.scale, usual.ratios):
        anchors = f"anchors of scale {config.rpn.scale:g} and ratios {config.rpn.ratios}"
        found.append(f"set in the target's configuration: {anchors}")
    stds = [stage.stds for stage in config.roi.stages]
    if stds != [stage.stds for stage in default_roi(config.kind).stages]:
        found.append(f"set in the target's configuration: target_stds {stds}")
    mask = config.roi.mask
    theirs = "last" if to == "mmdet" else "mean"
    if mask is not None and mask.flow and mask.merge != theirs:
        found.append(f"the target takes HTC's masks by {theirs}, this model by {mask.merge}")
    return found
