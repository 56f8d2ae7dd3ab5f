"""Necks and heads whose names several packages share.

mmdet's detectors have them in mmdet 2 and 3 and in the official fork; UPerNet in mmseg 0 and 1, in
the official fork and, but for norms and logits, in transformers. A detector with one box head
writes its name without a number, a cascade with one.

Conventions that need no change: classes stand in rows with background last, box regressors are
class-major (dx, dy, dw, dh), anchors are ratio-major per place.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from swinkit.checkpoints.sources.base import HeadTable, WeightFile
from swinkit.checkpoints.sources.tables import BATCH_NORM, WEIGHT_AND_BIAS, Rows, rename

if TYPE_CHECKING:
    from swinkit.segmentation.config import SegmenterConfig

_MAX_EXTRA_LEVELS = 4  # convolutions of a pyramid beyond the backbone's maps

_OF_ANY_DETECTOR = {
    "rpn.conv": "rpn_head.rpn_conv",
    "rpn.objectness": "rpn_head.rpn_cls",
    "rpn.deltas": "rpn_head.rpn_reg",
    "retina.class_convs.{stage}": "bbox_head.cls_convs.{stage}.conv",
    "retina.box_convs.{stage}": "bbox_head.reg_convs.{stage}.conv",
    "retina.scores": "bbox_head.retina_cls",
    "retina.deltas": "bbox_head.retina_reg",
    "semantic.laterals.{stage}": "roi_head.semantic_head.lateral_convs.{stage}.conv",
    "semantic.convs.{stage}": "roi_head.semantic_head.convs.{stage}.conv",
    "semantic.logits": "roi_head.semantic_head.conv_logits",
    "semantic.embedding": "roi_head.semantic_head.conv_embedding.conv",
}
_UPERNET = {
    "ppm.branches.{stage}": "decode_head.psp_modules.{stage}.1",
    "ppm.bottleneck": "decode_head.bottleneck",
    "head.laterals.{stage}": "decode_head.lateral_convs.{stage}",
    "head.fpn.{stage}": "decode_head.fpn_convs.{stage}",
    "head.fuse": "decode_head.fpn_bottleneck",
    "auxiliary.convs.{stage}": "auxiliary_head.convs.{stage}",
}


def detector_rows(names: Mapping[str, object]) -> Rows:
    """Rows for the detector that has these names, mmdet's or native ones."""
    lateral = r"(neck\.lateral_convs\.\d+\.conv|fpn\.lateral\.\d+)\.weight"
    levels = sum(bool(re.fullmatch(lateral, name)) for name in names)
    extra = range(_MAX_EXTRA_LEVELS)
    modules = {
        **{f"fpn.lateral.{i}": f"neck.lateral_convs.{i}.conv" for i in range(levels)},
        **{f"fpn.output.{i}": f"neck.fpn_convs.{i}.conv" for i in range(levels)},
        **{f"fpn.extra.{i}": f"neck.fpn_convs.{levels + i}.conv" for i in extra},
        **_OF_ANY_DETECTOR,
    }
    pyramid = tuple(row for ours, theirs in modules.items() for row in rename(ours, theirs))
    return pyramid + _region_rows(names)


def _region_rows(names: Mapping[str, object]) -> Rows:
    """Rows of box and mask heads."""
    cascade = any(name.startswith(("roi_head.bbox_head.0.", "box_heads.1.")) for name in names)
    ours, theirs = ("{stage}", ".{stage}") if cascade else ("0", "")
    number = "{block}" if cascade else "{stage}"
    box, mask = f"box_heads.{ours}", f"mask_heads.{ours}"
    their_box, their_mask = f"roi_head.bbox_head{theirs}", f"roi_head.mask_head{theirs}"
    convs = f"{their_box}.shared_convs.{number}"
    group_norm = any(".shared_convs.0.gn." in name for name in names) or (
        "box_heads.0.convs.0.norm.weight" in names
        and "box_heads.0.convs.0.norm.running_mean" not in names
    )
    norm, leaves = ("gn", WEIGHT_AND_BIAS) if group_norm else ("bn", BATCH_NORM)
    return (
        *rename(f"{box}.convs.{number}.conv", f"{convs}.conv"),
        *rename(f"{box}.convs.{number}.norm", f"{convs}.{norm}", leaves=leaves),
        *rename(f"{box}.fcs.{number}", f"{their_box}.shared_fcs.{number}"),
        *rename(f"{box}.scores", f"{their_box}.fc_cls"),
        *rename(f"{box}.deltas", f"{their_box}.fc_reg"),
        *rename(f"{mask}.convs.{number}", f"{their_mask}.convs.{number}.conv"),
        *rename(f"{mask}.upsample", f"{their_mask}.upsample"),
        *rename(f"{mask}.logits", f"{their_mask}.conv_logits"),
        *rename(f"{mask}.flow", f"{their_mask}.conv_res.conv"),
    )


def upernet_rows(*, norm: str, logits: str) -> Rows:
    """Rows of UPerNet and its auxiliary head.

    Args:
        norm: foreign name of the batch norm behind a convolution.
        logits: foreign name of the last convolution of a head.
    """
    rows: Rows = ()
    for ours, theirs in _UPERNET.items():
        rows += rename(f"{ours}.conv", f"{theirs}.conv", leaves=("weight",))
        rows += rename(f"{ours}.norm", f"{theirs}.{norm}", leaves=BATCH_NORM)
    return (
        *rows,
        *rename("head.logits", f"decode_head.{logits}"),
        *rename("auxiliary.logits", f"auxiliary_head.{logits}"),
    )


def masked_image_table(
    target: str,
    token: str,
    token_of: Callable[[Mapping[str, object]], str],
    settings: Callable[[WeightFile], dict[str, Any]] = lambda file: {},
) -> HeadTable:
    """Of a masked image model: its mask token and its decoder.

    Args:
        token: regular expression of the mask token's foreign names.
        token_of: the one of them that a file's names tell.
        settings: see `HeadTable`.
    """
    return HeadTable(
        task="pretraining",
        targets=(target,),
        anchor=r"decoder\.0\.weight",
        marks=(token,),
        inside=token,
        rows=lambda names: (
            *rename("mask_token", token_of(names), leaves=()),
            *rename("decoder.projection", "decoder.0"),
        ),
        settings=settings,
    )


def upernet_obstacles(config: "SegmenterConfig") -> list[str]:
    """Why a segmenter has no place among UPerNets."""
    upernet = config.decoder == "upernet"
    return [] if upernet else [f"it has no {config.decoder} decoder of this kind"]
