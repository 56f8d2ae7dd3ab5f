"""OpenMMLab: the Swin backbone of mmdet, mmseg and mmpretrain, and the necks and heads around it.

Patch merging unfolds 2 x 2 tokens channel by channel: column c * 4 + 2 dy + dx, where the official
order is s * C + c with s over (dy, dx) = 00, 10, 01, 11. `reduction` and `norm` are permuted.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from swinkit.checkpoints.sources.base import Export, HeadTable, Source, WeightFile
from swinkit.checkpoints.sources.heads import detector_rows, upernet_obstacles, upernet_rows
from swinkit.checkpoints.sources.tables import (
    Group,
    KeyRow,
    KeyTable,
    block_rows,
    embedding_rows,
    flatten_grid,
    read_grid,
    rename,
)
from swinkit.checkpoints.unpickling import read_assignment

_BLOCK = "stages.{stage}.blocks.{block}"
_SWAP = [0, 2, 1, 3]  # 00, 01, 10, 11 <-> 00, 10, 01, 11; its own inverse


def from_unfold(columns: Tensor) -> Tensor:
    """Last axis from (C, 4) in unfold's order to (4, C) in the official one."""
    split = columns.unflatten(-1, (-1, 4)).transpose(-1, -2)  # .. 4 C
    return split[..., _SWAP, :].flatten(-2).contiguous()


def to_unfold(columns: Tensor) -> Tensor:
    """Inverse of `from_unfold`."""
    split = columns.unflatten(-1, (4, -1))[..., _SWAP, :]  # .. 4 C
    return split.transpose(-1, -2).flatten(-2).contiguous()


def _read_merge(group: Group) -> Group:
    return (from_unfold(group[0]),)


def _write_merge(group: Group) -> Group:
    return (to_unfold(group[0]),)


TABLE = KeyTable(
    name="mmdet",
    title="mmdet, mmseg or mmpretrain",
    anchor=r"stages\.0\.blocks\.0\.attn\.w_msa\.qkv\.weight",
    block=_BLOCK,
    small_map_rule="keep",
    absent=(r"(.*\.)?stages\.0\.blocks\.0\.attn\.w_msa\.logit_scale",),
    inner=("backbone.",),
    rows=(
        *embedding_rows(projection="projection"),
        *block_rows(_BLOCK, attention="attn.w_msa", hidden="ffn.layers.0.0", out="ffn.layers.1"),
        *(
            KeyRow(
                native=("stages.{stage}.merge." + leaf,),
                foreign=("stages.{stage}.downsample." + leaf,),
                read=_read_merge,
                write=_write_merge,
                first=-1,
            )
            for leaf in ("norm.weight", "norm.bias", "reduction.weight")
        ),
        KeyRow(
            native=("absolute_position",),
            foreign=("absolute_pos_embed",),
            read=read_grid,
            write=flatten_grid,
        ),
        *rename("norms.{stage}", "norm{stage}"),
        *rename("head.fc", "head.fc", outer=True),
    ),
    buffers={"position index": "attn.w_msa.relative_position_index"},
    wrapper="state_dict",
    versions=(1,),
    patch_norm_optional=True,
)


def head_tables(*, detection: str, segmentation: str, last_mask: bool) -> tuple[HeadTable, ...]:
    """The heads that OpenMMLab and the official forks have in common.

    Args:
        detection, segmentation: names of the targets to which each goes.
        last_mask: whether HTC's masks come from the last stage alone, as mmdet 3 has it.
    """
    detector = partial(
        HeadTable,
        task="detection",
        targets=(detection,),
        anchor=r"neck\.lateral_convs\.0\.conv\.weight",
        rows=detector_rows,
        settings=partial(_detector_settings, last_mask=last_mask),
    )
    return (
        detector(
            marks=(r"rpn_head\.rpn_conv\.weight", r"roi_head\.bbox_head\.(0\.)?fc_cls\.weight")
        ),
        detector(marks=(r"bbox_head\.retina_cls\.weight", r"bbox_head\.retina_reg\.weight")),
        HeadTable(
            task="segmentation",
            targets=(segmentation,),
            anchor=r"decode_head\.psp_modules\.0\.1\.conv\.weight",
            marks=(r"decode_head\.fpn_bottleneck\.conv\.weight", r"decode_head\.conv_seg\.weight"),
            rows=lambda _: upernet_rows(norm="bn", logits="conv_seg"),
            settings=_segmenter_settings,
            obstacles=upernet_obstacles,
        ),
    )


def _recorded_model(file: WeightFile) -> dict[str, Any]:
    """The `model` of the configuration, which is recorded as text; empty where there is none."""
    model = read_assignment(file.meta.get("config", file.meta.get("cfg")), "model")
    return model if isinstance(model, dict) else {}


def _segmenter_settings(file: WeightFile) -> dict[str, Any]:
    return _known(pool_scales=_inside(_recorded_model(file), "decode_head", "pool_scales"))


def _detector_settings(file: WeightFile, *, last_mask: bool) -> dict[str, Any]:
    """Box scales and the choice of detections as the training recorded them.

    mmdet's present names are those of its versions 2 and 3; the version that training wrote
    beside the weights decides how HTC takes its masks, and without one the later.
    """
    model = _recorded_model(file)
    anchors, tested = _inside(model, "rpn_head", "anchor_generator"), model.get("test_cfg")
    scales, ratios = _inside(anchors, "scales"), _inside(anchors, "ratios")
    rpn = {}
    if scales and ratios and len(scales) == 1:
        proposals = _inside(tested, "rpn")
        rpn = _known(
            scale=scales[0],
            ratios=ratios,
            test_pre_nms=_inside(proposals, "nms_pre"),
            test_proposals=_inside(proposals, "max_per_img"),
        )
    heads = _inside(model, "roi_head", "bbox_head")
    stds = [_inside(head, "bbox_coder", "target_stds") for head in _listed(heads)]
    if isinstance(tested, dict) and {"rpn", "rcnn"} & tested.keys():
        tested = tested.get("rcnn")
    output = _known(
        score_threshold=_inside(tested, "score_thr"),
        max_per_image=_inside(tested, "max_per_img"),
        suppression=_suppression(_inside(tested, "nms")),
    )
    old = re.match(r"2\.", str(file.meta.get("mmdet_version", "")))
    merge = "last" if last_mask and not old else "mean"
    recorded = _known(rpn=rpn or None, stds=stds or None, output=output or None)
    return {"mask_merge": merge, "recorded": recorded}


def _suppression(nms: Any) -> dict[str, Any] | None:
    if not isinstance(nms, dict):
        return None
    soft = nms.get("type") == "soft_nms"
    method = nms.get("method", "linear")
    return _known(
        method=(method if method in ("linear", "gaussian") else "linear") if soft else "hard",
        iou=nms.get("iou_threshold") or nms.get("iou_thr"),
        sigma=nms.get("sigma"),
        min_score=nms.get("min_score"),
    )


def _inside(value: Any, *names: str) -> Any:
    """The entry below these names, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


_OLD_HEADS = re.compile(r"(?P<prefix>.*?)(?P<head>(bbox|mask|semantic)_head\..*)")


def modernize(
    tensors: Mapping[str, Tensor], meta: Mapping[str, object]
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """Detectors of mmdet 1, whose first class is the background and whose heads have other names.

    Nothing in the tensors tells their order: only the version that training wrote beside them
    does. Files of version 2 and later stay as they are, and so do files that do not tell.
    """
    present = {name: (name, value) for name, value in tensors.items()}
    old = re.match(r"[01]\.", str(meta.get("mmdet_version", "")))
    if not old or not any("rpn_head." in name for name in tensors):
        return present, []
    rows = next(
        (len(v) for n, v in tensors.items() if re.search(r"bbox_head\.(0\.)?fc_cls\.bias$", n)), 0
    )
    moved = {
        _OLD_HEADS.sub(r"\g<prefix>roi_head.\g<head>", name): (name, _reorder(name, value, rows))
        for name, value in tensors.items()
    }
    guess = (
        f"mmdet {meta['mmdet_version']}: background moved from the first class to the last; boxes "
        "of that version end one pixel later than swinkit's"
    )
    return moved, [guess]


def _reorder(name: str, value: Tensor, rows: int) -> Tensor:
    """Class rows (background, 1..K) as (1..K, background), box and mask rows without background."""
    if ".fc_cls." in name:
        return torch.roll(value, -1, 0)
    per_class = len(value) // max(rows, 1)
    boxes = ".fc_reg." in name and len(value) == 4 * rows
    masks = "mask_head." in name and ".conv_logits." in name and len(value) == rows
    return value[per_class:].contiguous() if boxes or masks else value


class OpenMMLab(Source):
    """Files of mmdet, mmseg and mmpretrain."""

    name = "mmdet/mmseg"
    tables: ClassVar[tuple[KeyTable, ...]] = (TABLE,)
    heads = head_tables(detection="mmdet", segmentation="mmseg", last_mask=True)
    wrappers = ("state_dict",)
    head_roots = frozenset(
        {"neck", "rpn_head", "roi_head", "bbox_head", "mask_head", "decode_head"}
    )

    def modernize(
        self, tensors: Mapping[str, Tensor], file: WeightFile
    ) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
        return modernize(tensors, file.meta)

    def unsupported(self, file: WeightFile) -> list[str]:
        kind = _inside(_recorded_model(file), "backbone", "act_cfg", "type")
        if kind in (None, "GELU"):
            return []
        return [f"its recorded act_cfg is {kind!r}, swinkit computes GELU alone"]

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        data = file.meta.get("dataset_meta")
        recorded: Any = data if isinstance(data, dict) else file.meta
        names = recorded.get("classes", recorded.get("CLASSES"))
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
            return None
        return tuple(name.strip() for name in names)

    def class_record(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {"dataset_meta": {"classes": names}}

    def prefix(self, export: Export) -> str:
        return "backbone."


SOURCE = OpenMMLab()
