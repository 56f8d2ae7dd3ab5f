"""transformers' Swin, Swinv2 and UperNet models, and the two settings files beside the weights.

Files on the hub hold query, key and value apart. transformers 5 renamed V1's modules and converts
hub files while it loads them; both spellings are read, the hub's is written.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes, Windows, map_hw
from swinkit.checkpoints.save import header_of, write_json, write_safetensors
from swinkit.checkpoints.sources.base import Export, HeadTable, Source, WeightFile, shrunk_windows
from swinkit.checkpoints.sources.heads import masked_image_table, upernet_obstacles, upernet_rows
from swinkit.checkpoints.sources.huggingface_settings import (
    CONFIG,
    PROCESSOR,
    class_names,
    image_settings,
    model_config,
    processor_config,
    stated_sizes,
    unsupported,
    upernet_config,
)
from swinkit.checkpoints.sources.sizes import same_shifts, size_note
from swinkit.checkpoints.sources.tables import (
    BLOCK,
    KeyRow,
    KeyTable,
    Version,
    flatten_grid,
    fuse,
    merge_rows,
    rename,
)
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import Preprocessing
from swinkit.parsing import integer, sequence
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel

if TYPE_CHECKING:
    from swinkit.segmentation.config import SegmenterConfig

AUXILIARY_STAGE = 2  # that UperNet's auxiliary head reads

_BLOCK = "encoder.layers.{stage}.blocks.{block}"
_SELF = f"{_BLOCK}.attention.self"
_OURS = f"{BLOCK}.attention"


def _fused(leaf: str, version: Version | None) -> KeyRow:
    parts = tuple(f"{_SELF}.{part}.{leaf}" for part in ("query", "key", "value"))
    return fuse(f"{_OURS}.qkv.{leaf}", parts, version)


_MODULES = {
    "patch_embed.projection": "embeddings.patch_embeddings.projection",
    "patch_embed.norm": "embeddings.norm",
    f"{BLOCK}.norm1": f"{_BLOCK}.layernorm_before",
    f"{BLOCK}.norm2": f"{_BLOCK}.layernorm_after",
    f"{_OURS}.position_bias.mlp.0": f"{_SELF}.continuous_position_bias_mlp.0",
    f"{_OURS}.projection": f"{_BLOCK}.attention.output.dense",
    f"{BLOCK}.mlp.fc1": f"{_BLOCK}.intermediate.dense",
    f"{BLOCK}.mlp.fc2": f"{_BLOCK}.output.dense",
}
_TENSORS: dict[str, tuple[str, Version]] = {
    "position_bias.table": ("relative_position_bias_table", 1),
    "q_bias": ("query.bias", 2),
    "v_bias": ("value.bias", 2),
    "logit_scale": ("logit_scale", 2),
    "position_bias.mlp.2.weight": ("continuous_position_bias_mlp.2.weight", 2),
}
_BODY = (
    *(row for ours, theirs in _MODULES.items() for row in rename(ours, theirs)),
    *(
        row
        for ours, (theirs, version) in _TENSORS.items()
        for row in rename(f"{_OURS}.{ours}", f"{_SELF}.{theirs}", leaves=(), version=version)
    ),
    _fused("weight", None),
    _fused("bias", 1),
    KeyRow(
        native=("absolute_position",),
        foreign=("embeddings.position_embeddings",),
        write=flatten_grid,
    ),
    *merge_rows("encoder.layers.{stage}.downsample"),
)
_ALIASES = (
    (r"\.attention\.q_proj\.", ".attention.self.query."),
    (r"\.attention\.k_proj\.", ".attention.self.key."),
    (r"\.attention\.v_proj\.", ".attention.self.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.attention\.relative_position_bias\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
_MASK_TOKEN = (r"embeddings\.mask_token", "part of masked image pre-training")

_table = partial(
    KeyTable,
    anchor=r"encoder\.layers\.0\.blocks\.0\.attention\.(self\.query|q_proj)\.weight",
    block=_BLOCK,
    inner=("swin.", "swinv2.", "donut.", "backbone.swin.", "backbone.", "model."),
    aliases=_ALIASES,
    buffers={"position index": "attention.self.relative_position_index"},
)
MODEL = _table(
    name="huggingface",
    title="transformers",
    small_map_rule="shrink_both",
    rows=(
        *_BODY,
        *rename("norms.{last}", "layernorm"),
        *rename("head.fc", "classifier", outer=True),
    ),
    ignored=(_MASK_TOKEN,),
)
# transformers' SwinBackbone always partitions: it keeps window and shift on small maps.
BACKBONE = _table(
    name="huggingface-backbone",
    title="transformers' backbone",
    small_map_rule="keep",
    marks=(r"(.*\.)?hidden_states_norms\.(stage)?\d+\.weight",),
    rows=(
        *_BODY,
        *rename("norms.{stage}", "hidden_states_norms.stage{stage}", first=1, outer=True),
        # In UperNet's files they stand inside the backbone.
        *rename("norms.{stage}", "hidden_states_norms.stage{stage}", first=1),
        # MaskFormer's list of them counts from 0.
        *rename("norms.{stage}", "hidden_states_norms.{stage}", outer=True),
        *rename("norms.{stage}", "hidden_states_norms.{stage}"),
    ),
    ignored=(
        _MASK_TOKEN,
        (r"(swin\.)?layernorm\.(weight|bias)", "not used by transformers' backbone"),
    ),
    versions=(1,),
)


def _obstacles(config: "SegmenterConfig") -> list[str]:
    found, stage = upernet_obstacles(config), config.auxiliary_stage
    if stage not in (None, AUXILIARY_STAGE):
        found.append(f"its auxiliary head reads stage 3, this model's stage {stage}")
    return found


def _settings(file: WeightFile) -> dict[str, Any]:
    scales = file.beside.get(CONFIG, {}).get("pool_scales")
    cells = [integer(value) for value in sequence(scales)]
    if scales and (not cells or not all(value and value > 0 for value in cells)):
        raise CheckpointError(f"{CONFIG}: pool_scales is {scales!r}; give a list of integers")
    return {"pool_scales": tuple(cells)} if scales else {}


UPERNET = HeadTable(
    task="segmentation",
    targets=("huggingface",),
    anchor=r"decode_head\.psp_modules\.0\.1\.conv\.weight",
    marks=(r"decode_head\.fpn_bottleneck\.conv\.weight", r"decode_head\.classifier\.weight"),
    rows=lambda _: upernet_rows(norm="batch_norm", logits="classifier"),
    settings=_settings,
    obstacles=_obstacles,
)


def _mask_token(names: Mapping[str, object]) -> str:
    """V2's parts stand under another name; of V2 are swinkit's names with a logit scale."""
    second = any(name.startswith("swinv2.") or name.endswith(".logit_scale") for name in names)
    return f"{'swinv2' if second else 'swin'}.embeddings.mask_token"


MASKED_IMAGE = masked_image_table(
    "huggingface",
    r"swin(v2)?\.embeddings\.mask_token",
    _mask_token,
    settings=lambda _: {"neighborhood": None},
)


class HuggingFace(Source):
    """Folders of `save_pretrained`, and of the hub."""

    name = "transformers"
    tables = (BACKBONE, MODEL)
    heads = (UPERNET, MASKED_IMAGE)
    files_beside = (CONFIG, PROCESSOR)
    head_roots = frozenset({"decode_head"})

    def unsupported(self, file: WeightFile) -> list[str]:
        return unsupported(file)

    def stated_sizes(self, file: WeightFile) -> StatedSizes | None:
        return stated_sizes(file)

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        return class_names(file)

    def image_settings(self, file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
        return image_settings(file, size_hw)

    def size_notes(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """V1 decides shifts in each forward pass, V2 when it is built."""
        if config.version == 1:
            return []

        def same(side: int, axis: int) -> bool:
            return same_shifts(config, image_hw[axis], side, axis)

        built = f"{image_hw[0]}x{image_hw[1]}"
        why = f"transformers keeps the windows and shifts that it was built with for {built}"
        return [size_note(image_hw, "transformers", same, why)]

    def table_for(self, config: SwinConfig) -> KeyTable:
        return MODEL if set(config.norm_stages) <= {config.num_stages - 1} else BACKBONE

    def prefix(self, export: Export) -> str:
        if export.has_heads and export.task != MASKED_IMAGE.task:
            return "backbone."
        if export.task is None or self.table_for(export.backbone) is not MODEL:
            return ""
        return "swin." if export.backbone.version == 1 else "swinv2."

    def built_windows(self, config: SwinConfig, windows: Windows, image_hw: SizeHW) -> Windows:
        if config.version == 1:
            return windows
        return shrunk_windows(config, windows, image_hw, "shrink_both")

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """Its V1 model shrinks a window to the map, but not the bias table, and fails."""
        if config.version == 1 and self.table_for(config) is MODEL:
            for stage, window in enumerate(config.windows):
                size_hw = map_hw(image_hw, config.patch_size, stage)
                if min(size_hw) < max(window):
                    return [
                        f"at {image_hw[0]}x{image_hw[1]} the map of stage {stage + 1} has "
                        f"{size_hw[0]}x{size_hw[1]} tokens, fewer than its window of "
                        f"{window[0]}x{window[1]}; give image_size= or window_size="
                    ]
        return super().window_obstacles(config, image_hw)

    def buffers(self, config: SwinConfig) -> Mapping[str, str]:
        return super().buffers(config) if config.version == 1 else {}

    def write(self, export: Export, tensors: Any, path: Path) -> None:
        """A folder that `from_pretrained` opens."""
        if path.suffix in (".safetensors", ".pth", ".pt"):
            raise CheckpointError(f"{path}: transformers wants a folder; leave the suffix off")
        config, processor = _folder_settings(export)
        write_safetensors(tensors, path / "model.safetensors", header_of(export.model))
        write_json(config, path / CONFIG)
        write_json(processor, path / PROCESSOR)


def _folder_settings(export: Export) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    model, config, size_hw = export.model, export.backbone, export.image_hw
    prepare = model.info.preprocessing if isinstance(model, TaskModel) else None
    if export.task == MASKED_IMAGE.task:
        values = model_config(config, size_hw, "ForMaskedImageModeling")
    elif export.has_heads:
        values = upernet_config(model.config, size_hw)  # type: ignore[arg-type]
    elif export.task is not None:
        values = model_config(config, size_hw, "ForImageClassification")
    else:
        single = SOURCE.table_for(config) is MODEL
        values = model_config(config, size_hw, "Model" if single else "Backbone")
    names = model.class_names if isinstance(model, TaskModel) else ()
    if names:
        values["id2label"] = {str(i): name for i, name in enumerate(names)}
        values["label2id"] = {name: i for i, name in enumerate(names)}
    return values, processor_config(prepare or Preprocessing.for_size(size_hw))


SOURCE = HuggingFace()
