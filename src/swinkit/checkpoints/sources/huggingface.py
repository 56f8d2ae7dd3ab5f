"""Names of transformers' Swin and Swinv2 models, and their config.json.

Files on the hub hold query, key and value apart. transformers 5 renamed V1's modules and converts
hub files while it loads them; both spellings are read, the hub's is written.
"""

from swinkit.checkpoints.keymap import (
    Entry,
    Source,
    Version,
    concatenate,
    same,
    split_three,
)
from swinkit.checkpoints.microsoft import (
    BLOCK,
    MASKED_IMAGE,
    flatten_grid,
    merge_entries,
)

_BLOCK = "encoder.layers.{stage}.blocks.{block}"
_SELF = f"{_BLOCK}.attention.self"
_OURS = f"{BLOCK}.attention"


def _fused(leaf: str, version: Version | None) -> Entry:
    return Entry(
        native=(f"{_OURS}.qkv.{leaf}",),
        foreign=tuple(f"{_SELF}.{part}.{leaf}" for part in ("query", "key", "value")),
        read=concatenate,
        write=split_three,
        version=version,
    )


def _single(native: str, foreign: str, version: Version) -> Entry:
    return Entry(native=(native,), foreign=(foreign,), version=version)


_BODY = (
    *same("patch_embed.projection", "embeddings.patch_embeddings.projection"),
    *same("patch_embed.norm", "embeddings.norm"),
    Entry(
        native=("absolute_position",),
        foreign=("embeddings.position_embeddings",),
        write=flatten_grid,
    ),
    *same(f"{BLOCK}.norm1", f"{_BLOCK}.layernorm_before"),
    *same(f"{BLOCK}.norm2", f"{_BLOCK}.layernorm_after"),
    _fused("weight", None),
    _fused("bias", 1),
    _single(f"{_OURS}.position_bias.table", f"{_SELF}.relative_position_bias_table", 1),
    _single(f"{_OURS}.q_bias", f"{_SELF}.query.bias", 2),
    _single(f"{_OURS}.v_bias", f"{_SELF}.value.bias", 2),
    _single(f"{_OURS}.logit_scale", f"{_SELF}.logit_scale", 2),
    *same(f"{_OURS}.position_bias.mlp.0", f"{_SELF}.continuous_position_bias_mlp.0", version=2),
    *same(
        f"{_OURS}.position_bias.mlp.2",
        f"{_SELF}.continuous_position_bias_mlp.2",
        leaves=("weight",),
        version=2,
    ),
    *same(f"{_OURS}.projection", f"{_BLOCK}.attention.output.dense"),
    *same(f"{BLOCK}.mlp.fc1", f"{_BLOCK}.intermediate.dense"),
    *same(f"{BLOCK}.mlp.fc2", f"{_BLOCK}.output.dense"),
    *merge_entries("encoder.layers.{stage}.downsample"),
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
_ANCHOR = r"encoder\.layers\.0\.blocks\.0\.attention\.(self\.query|q_proj)\.weight"
_IGNORED = ((r"embeddings\.mask_token", MASKED_IMAGE),)
_INNER = ("swin.", "swinv2.", "backbone.swin.", "backbone.", "model.")

HUGGINGFACE = Source(
    name="huggingface",
    title="transformers",
    anchor=_ANCHOR,
    block=_BLOCK,
    small_map_rule="shrink_both",
    inner=_INNER,
    aliases=_ALIASES,
    entries=(
        *_BODY,
        *same("norms.{last}", "layernorm"),
        *same("head.fc", "classifier", outer=True),
    ),
    ignored=_IGNORED,
    persistent=("relative_position_index",),
)

# transformers' SwinBackbone always partitions: it keeps window and shift on small maps.
HUGGINGFACE_BACKBONE = Source(
    name="huggingface-backbone",
    title="transformers' backbone",
    anchor=_ANCHOR,
    block=_BLOCK,
    small_map_rule="keep",
    marks=(r"(.*\.)?hidden_states_norms\.stage\d+\.weight",),
    inner=_INNER,
    aliases=_ALIASES,
    entries=(
        *_BODY,
        *same("norms.{stage}", "hidden_states_norms.stage{stage}", first=1, outer=True),
        # In UperNet's files they stand inside the backbone.
        *same("norms.{stage}", "hidden_states_norms.stage{stage}", first=1),
    ),
    ignored=(
        *_IGNORED,
        (r"(swin\.)?layernorm\.(weight|bias)", "not used by transformers' backbone"),
    ),
    persistent=("relative_position_index",),
    versions=(1,),
)
