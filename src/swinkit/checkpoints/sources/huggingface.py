"""transformers' Swin, Swinv2 and UperNet models, and the two settings files beside the weights.

Files on the hub hold query, key and value apart. transformers 5 renamed V1's modules and converts
hub files while it loads them; both spellings are read, the hub's is written.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes, Windows
from swinkit.checkpoints.save import header_of, write_json, write_safetensors
from swinkit.checkpoints.sources.base import (
    Export,
    HeadTable,
    Source,
    WeightFile,
    shrunk_windows,
)
from swinkit.checkpoints.sources.heads import upernet_obstacles, upernet_rows
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
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel

if TYPE_CHECKING:
    from swinkit.segmentation.config import SegmenterConfig

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
AUXILIARY_STAGE = 2  # that UperNet's auxiliary head reads
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers

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
    inner=("swin.", "swinv2.", "backbone.swin.", "backbone.", "model."),
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
    marks=(r"(.*\.)?hidden_states_norms\.stage\d+\.weight",),
    rows=(
        *_BODY,
        *rename("norms.{stage}", "hidden_states_norms.stage{stage}", first=1, outer=True),
        # In UperNet's files they stand inside the backbone.
        *rename("norms.{stage}", "hidden_states_norms.stage{stage}", first=1),
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
    return {"pool_scales": scales} if scales else {}


UPERNET = HeadTable(
    task="segmentation",
    targets=("huggingface",),
    anchor=r"decode_head\.psp_modules\.0\.1\.conv\.weight",
    marks=(r"decode_head\.fpn_bottleneck\.conv\.weight", r"decode_head\.classifier\.weight"),
    rows=lambda _: upernet_rows(norm="batch_norm", logits="classifier"),
    settings=_settings,
    obstacles=_obstacles,
)


class HuggingFace(Source):
    """Folders of `save_pretrained`, and of the hub."""

    name = "transformers"
    tables = (BACKBONE, MODEL)
    heads = (UPERNET,)
    files_beside = (CONFIG, PROCESSOR)
    head_roots = frozenset({"decode_head"})

    def stated_sizes(self, file: WeightFile) -> StatedSizes | None:
        config = file.beside.get(CONFIG, {})
        if "window_size" not in config:
            return None
        return StatedSizes(
            stated_by=CONFIG,
            proven=True,
            window_size=_integers(config["window_size"]),
            pretrained_window_size=_integers(config.get("pretrained_window_sizes") or 0),
            image_hw=_pair(config.get("image_size")),
        )

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        labels = file.beside.get(CONFIG, {}).get("id2label")
        if not isinstance(labels, dict):
            return None
        names = tuple(str(labels.get(str(i), labels.get(i, ""))) for i in range(len(labels)))
        unnamed = all(re.fullmatch(r"LABEL_\d+|", name) for name in names)
        return None if unnamed else names

    def image_settings(self, file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
        """ViT's image processor squashes, ConvNeXT's crops by crop_pct below 384."""
        settings = file.beside.get(PROCESSOR)
        if not settings:
            return {}
        fraction, number = settings.get("crop_pct"), settings.get("resample", 3)
        crops = settings.get("do_center_crop") or (fraction and min(size_hw) < 384)
        return {
            "resize": "crop" if crops else "squash",
            "crop_fraction": fraction,
            "interpolation": _FILTERS[number] if number in range(len(_FILTERS)) else None,
            "mean": settings.get("image_mean"),
            "std": settings.get("image_std"),
        }

    def table_for(self, config: SwinConfig) -> KeyTable:
        return MODEL if set(config.norm_stages) <= {config.num_stages - 1} else BACKBONE

    def prefix(self, export: Export) -> str:
        if export.has_heads:
            return "backbone."
        if export.task is None or self.table_for(export.backbone) is not MODEL:
            return ""
        return "swin." if export.backbone.version == 1 else "swinv2."

    def built_windows(self, config: SwinConfig, windows: Windows, image_hw: SizeHW) -> Windows:
        if config.version == 1:
            return windows
        return shrunk_windows(config, windows, image_hw, "shrink_both")

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


def _integers(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, int):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, int) for item in value):
        return tuple(value) if any(value) else 0
    raise CheckpointError(f"{CONFIG}: window sizes {value!r} are no integers")


def _pair(value: Any) -> SizeHW | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return int(value[0]), int(value[1])
    return None


def _folder_settings(export: Export) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    model, config, size_hw = export.model, export.backbone, export.image_hw
    prepare = model.info.preprocessing if isinstance(model, TaskModel) else None
    if export.has_heads:
        values = _upernet_config(model.config, size_hw)  # type: ignore[arg-type]
    elif export.task is not None:
        values = _model_config(config, size_hw, "ForImageClassification")
    else:
        single = SOURCE.table_for(config) is MODEL
        values = _model_config(config, size_hw, "Model" if single else "Backbone")
    names = model.class_names if isinstance(model, TaskModel) else ()
    if names:
        values["id2label"] = {str(i): name for i, name in enumerate(names)}
        values["label2id"] = {name: i for i, name in enumerate(names)}
    return values, _processor(prepare or Preprocessing.for_size(size_hw))


def _model_config(config: SwinConfig, image_hw: SizeHW, head: str) -> dict[str, Any]:
    """Settings that transformers builds a model from; `head` ends the name of its class."""
    square = image_hw[0] == image_hw[1]
    values: dict[str, Any] = {
        "architectures": [("Swin" if config.version == 1 else "Swinv2") + head],
        "model_type": "swin" if config.version == 1 else "swinv2",
        "image_size": image_hw[0] if square else list(image_hw),
        "patch_size": config.patch_size,
        "num_channels": config.in_channels,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "num_layers": config.num_stages,
        "hidden_size": config.channels[-1],
        "window_size": max(height for height, _ in config.windows),
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "drop_path_rate": config.drop_path_rate,
        "use_absolute_embeddings": config.absolute_position_hw is not None,
        "layer_norm_eps": 1e-5,
        "encoder_stride": config.strides[-1],
    }
    if config.version == 2:
        values["pretrained_window_sizes"] = [height for height, _ in config.pretrained_windows]
    if head == "Backbone":
        values["out_features"] = [f"stage{stage + 1}" for stage in config.norm_stages]
        values["out_indices"] = [stage + 1 for stage in config.norm_stages]
    return values


def _upernet_config(config: "SegmenterConfig", image_hw: SizeHW) -> dict[str, Any]:
    """Settings of UperNetForSemanticSegmentation on a Swin backbone."""
    return {
        "architectures": ["UperNetForSemanticSegmentation"],
        "model_type": "upernet",
        "backbone_config": _model_config(config.backbone, image_hw, "Backbone"),
        "hidden_size": config.channels,
        "pool_scales": list(config.pool_scales),
        "use_auxiliary_head": config.auxiliary_stage is not None,
        "auxiliary_loss_weight": 0.4,
        "auxiliary_in_channels": config.backbone.channels[config.auxiliary_stage or 0],
        "auxiliary_channels": config.auxiliary_channels,
        "auxiliary_num_convs": config.auxiliary_convs,
        "auxiliary_concat_input": False,
        "loss_ignore_index": 255,
    }


def _processor(prepare: Preprocessing | Fit) -> dict[str, Any]:
    """Settings of the image processor nearest to swinkit's preprocessing.

    The one for segmenters squashes to a square.
    """
    if isinstance(prepare, Fit):
        side = prepare.short_side or prepare.long_side or 512
        kind, size, interpolation = "Segformer", {"height": side, "width": side}, "bilinear"
        more: dict[str, Any] = {"do_reduce_labels": False}
    else:
        (height, width), interpolation = prepare.size_hw, prepare.interpolation
        kind, size, more = "ViT", {"height": height, "width": width}, {}
        if prepare.resize == "crop" and height == width:
            kind, size = "ConvNext", {"shortest_edge": height}
            more = {"crop_pct": prepare.crop_fraction}
    return {
        "image_processor_type": f"{kind}ImageProcessor",
        "do_resize": True,
        "size": size,
        "resample": _FILTERS.index(interpolation),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(prepare.mean),
        "image_std": list(prepare.std),
        **more,
    }


SOURCE = HuggingFace()
