"""microsoft/Swin-Transformer, V1 and V2, and its detection and segmentation forks.

The forks are mmdet 2 and mmseg 0 with the official backbone: their necks and heads have the names
of OpenMMLab.
"""

from functools import partial
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import Windows
from swinkit.checkpoints.sources.base import Export, shrunk_windows
from swinkit.checkpoints.sources.openmmlab import OpenMMLab, head_tables
from swinkit.checkpoints.sources.tables import (
    KeyRow,
    KeyTable,
    block_rows,
    embedding_rows,
    flatten_grid,
    grid_last,
    merge_rows,
    read_grid,
    rename,
)
from swinkit.settings import SizeHW

_BLOCK = "layers.{stage}.blocks.{block}"
_POSITION = ("absolute_pos_embed",)
_BODY = (*embedding_rows(), *block_rows(_BLOCK), *merge_rows("layers.{stage}.downsample"))

_table = partial(
    KeyTable,
    anchor=r"layers\.0\.blocks\.0\.attn\.qkv\.weight",
    block=_BLOCK,
    patch_norm_optional=True,
)
CLASSIFIER = _table(
    name="microsoft",
    title="microsoft/Swin-Transformer",
    small_map_rule="shrink_both",
    inner=("encoder.", "backbone."),
    rows=(
        *_BODY,
        KeyRow(native=("absolute_position",), foreign=_POSITION, write=flatten_grid),
        *rename("norms.{last}", "norm"),
        *rename("head.fc", "head"),
    ),
    ignored=((r"mask_token", "part of masked image pre-training"),),
    buffers={
        "position index": "attn.relative_position_index",
        "coordinates": "attn.relative_coords_table",
        "shift mask": "attn_mask",
    },
    wrapper="model",
)
FORK = _table(
    name="microsoft-detection",
    title="the detection or segmentation fork of microsoft/Swin-Transformer",
    small_map_rule="keep",
    marks=(r"(?!.*blocks)(.*\.)?norm\d\.weight",),
    inner=("backbone.",),
    rows=(
        *_BODY,
        KeyRow(native=("absolute_position",), foreign=_POSITION, read=read_grid, write=grid_last),
        *rename("norms.{stage}", "norm{stage}"),
    ),
    ignored=((r"norm\.(weight|bias)|head\.(weight|bias)", "classifier's, not used by the fork"),),
    buffers={"position index": "attn.relative_position_index"},
    wrapper="state_dict",
    versions=(1,),
)


class Microsoft(OpenMMLab):
    """Files of the official repository and of its forks, which write as OpenMMLab's programs do."""

    name = "microsoft"
    tables = (FORK, CLASSIFIER)
    heads = head_tables(detection="microsoft", segmentation="microsoft", last_mask=False)
    wrappers = ("model",)
    # detectron2's names, which Mask2Former and others have around the official backbone.
    head_roots = OpenMMLab.head_roots | {"proposal_generator", "roi_heads", "sem_seg_head"}

    def table_for(self, config: SwinConfig) -> KeyTable:
        """The forks norm several stages."""
        return CLASSIFIER if set(config.norm_stages) <= {config.num_stages - 1} else FORK

    def built_windows(self, config: SwinConfig, windows: Windows, image_hw: SizeHW) -> Windows:
        if self.table_for(config) is FORK:
            return windows
        return shrunk_windows(config, windows, image_hw, "shrink_both")

    def prefix(self, export: Export) -> str:
        return "backbone." if export.has_heads else ""

    def class_record(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {"CLASSES": names}


SOURCE = Microsoft()
