"""Names of the necks and heads of OpenMMLab's detectors: mmdet 2 (the official fork) and mmdet 3.

Both name them alike; only their backbones differ. Rows are relative to the detector. A detector
with one box head writes its name without a number, a cascade with one.

Conventions that need no change: classes stand in rows with background last, box regressors are
class-major (dx, dy, dw, dh), anchors are ratio-major per place.
"""

from collections.abc import Mapping

from torch import Tensor

from swinkit.checkpoints.keymap import Entry, same

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
GROUP_NORM = ("weight", "bias")
MAX_EXTRA_LEVELS = 4

_RPN = (
    *same("rpn.conv", "rpn_head.rpn_conv"),
    *same("rpn.objectness", "rpn_head.rpn_cls"),
    *same("rpn.deltas", "rpn_head.rpn_reg"),
)

_RETINA = (
    *same("retina.class_convs.{stage}", "bbox_head.cls_convs.{stage}.conv"),
    *same("retina.box_convs.{stage}", "bbox_head.reg_convs.{stage}.conv"),
    *same("retina.scores", "bbox_head.retina_cls"),
    *same("retina.deltas", "bbox_head.retina_reg"),
)

_SEMANTIC = (
    *same("semantic.laterals.{stage}", "roi_head.semantic_head.lateral_convs.{stage}.conv"),
    *same("semantic.convs.{stage}", "roi_head.semantic_head.convs.{stage}.conv"),
    *same("semantic.logits", "roi_head.semantic_head.conv_logits"),
    *same("semantic.embedding", "roi_head.semantic_head.conv_embedding.conv"),
)


def detector_entries(levels: int, *, cascade: bool, group_norm: bool = False) -> tuple[Entry, ...]:
    """Rows of one detector.

    Args:
        levels: backbone maps that the pyramid takes; further pyramid convolutions are extra levels.
        cascade: whether heads are numbered.
        group_norm: whether box heads have group norm, which mmdet names otherwise.
    """
    ours, theirs = ("{stage}", ".{stage}") if cascade else ("0", "")
    inner = "{block}" if cascade else "{stage}"
    box, mask = f"box_heads.{ours}", f"mask_heads.{ours}"
    their_box, their_mask = f"roi_head.bbox_head{theirs}", f"roi_head.mask_head{theirs}"
    norm, leaves = ("gn", GROUP_NORM) if group_norm else ("bn", NORM)
    return (
        *_pyramid(levels),
        *_RPN,
        *_RETINA,
        *same(f"{box}.convs.{inner}.conv", f"{their_box}.shared_convs.{inner}.conv"),
        *same(
            f"{box}.convs.{inner}.norm", f"{their_box}.shared_convs.{inner}.{norm}", leaves=leaves
        ),
        *same(f"{box}.fcs.{inner}", f"{their_box}.shared_fcs.{inner}"),
        *same(f"{box}.scores", f"{their_box}.fc_cls"),
        *same(f"{box}.deltas", f"{their_box}.fc_reg"),
        *same(f"{mask}.convs.{inner}", f"{their_mask}.convs.{inner}.conv"),
        *same(f"{mask}.upsample", f"{their_mask}.upsample"),
        *same(f"{mask}.logits", f"{their_mask}.conv_logits"),
        *same(f"{mask}.flow", f"{their_mask}.conv_res.conv"),
        *_SEMANTIC,
    )


def _pyramid(levels: int) -> tuple[Entry, ...]:
    numbers = range(levels)
    extra = range(MAX_EXTRA_LEVELS)
    return (
        *(row for i in numbers for row in same(f"fpn.lateral.{i}", f"neck.lateral_convs.{i}.conv")),
        *(row for i in numbers for row in same(f"fpn.output.{i}", f"neck.fpn_convs.{i}.conv")),
        *(
            row
            for i in extra
            for row in same(f"fpn.extra.{i}", f"neck.fpn_convs.{levels + i}.conv")
        ),
    )


def rows_for_keys(tensors: Mapping[str, Tensor]) -> tuple[Entry, ...]:
    """The rows that read a foreign file, told by its own keys."""
    levels = sum(
        name.startswith("neck.lateral_convs.") and name.endswith(".conv.weight") for name in tensors
    )
    cascade = any(name.startswith("roi_head.bbox_head.0.") for name in tensors)
    group_norm = any(".shared_convs.0.gn." in name for name in tensors)
    return detector_entries(levels, cascade=cascade, group_norm=group_norm)
