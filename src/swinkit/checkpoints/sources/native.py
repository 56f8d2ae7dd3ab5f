"""swinkit's own parameter names as a source: every row maps a name to itself."""

from swinkit.checkpoints.keymap import Entry, Source, same

_BLOCK = "stages.{stage}.blocks.{block}"
_NAMES = (
    "attention.qkv.weight",
    "attention.qkv.bias",
    "attention.q_bias",
    "attention.v_bias",
    "attention.logit_scale",
    "attention.position_bias.table",
    "attention.position_bias.mlp.0.weight",
    "attention.position_bias.mlp.0.bias",
    "attention.position_bias.mlp.2.weight",
)

NATIVE = Source(
    name="native",
    title="swinkit",
    anchor=r"stages\.0\.blocks\.0\.attention\.qkv\.weight",
    block=_BLOCK,
    small_map_rule="shrink_both",
    inner=("backbone.",),
    entries=(
        *same("patch_embed.projection", "patch_embed.projection"),
        *same("patch_embed.norm", "patch_embed.norm"),
        Entry(native=("absolute_position",), foreign=("absolute_position",)),
        *(
            entry
            for module in ("norm1", "norm2", "attention.projection", "mlp.fc1", "mlp.fc2")
            for entry in same(f"{_BLOCK}.{module}", f"{_BLOCK}.{module}")
        ),
        *(Entry(native=(f"{_BLOCK}.{name}",), foreign=(f"{_BLOCK}.{name}",)) for name in _NAMES),
        *same("stages.{stage}.merge.norm", "stages.{stage}.merge.norm"),
        *same(
            "stages.{stage}.merge.reduction", "stages.{stage}.merge.reduction", leaves=("weight",)
        ),
        *same("norms.{stage}", "norms.{stage}"),
        *same("head.fc", "head.fc", outer=True),
    ),
)
