"""microsoft/Swin-Transformer, V1 and V2, and its detection and segmentation forks.

The forks are mmdet 2 and mmseg 0 with the official backbone: their necks and heads have the names
of OpenMMLab.
"""

from functools import partial
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import Windows, map_hw
from swinkit.checkpoints.sources.base import Export, shrunk_windows
from swinkit.checkpoints.sources.heads import masked_image_table
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
SIMMIM = masked_image_table("microsoft", r"encoder\.mask_token", lambda _: "encoder.mask_token")


class Microsoft(OpenMMLab):
    """Files of the official repository and of its forks, which write as OpenMMLab's programs do."""

    name = "microsoft"
    tables = (FORK, CLASSIFIER)
    heads = (
        *head_tables(detection="microsoft", segmentation="microsoft", last_mask=False),
        SIMMIM,
    )
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

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """The classifier pads nothing: every map must fill its windows, and halve."""
        found = super().window_obstacles(config, image_hw)
        if found or self.table_for(config) is FORK:
            return found
        for stage, window in enumerate(config.windows):
            size_hw = map_hw(image_hw, config.patch_size, stage)
            whole = all(side % extent == 0 for side, extent in zip(size_hw, window, strict=True))
            if not whole:
                return [
                    f"it pads nothing, and at {image_hw[0]}x{image_hw[1]} the map of stage "
                    f"{stage + 1}, {size_hw[0]}x{size_hw[1]} tokens, does not fill windows of "
                    f"{window[0]}x{window[1]}; give image_size="
                ]
        return []

    def prefix(self, export: Export) -> str:
        if export.task == SIMMIM.task:
            return "encoder."
        return "backbone." if export.has_heads else ""

    def class_record(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {"CLASSES": names}


SOURCE = Microsoft()
