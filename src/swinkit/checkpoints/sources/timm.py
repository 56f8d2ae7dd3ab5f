"""Names of timm's swin_transformer and swin_transformer_v2 (0.9 and later).

timm moved patch merging to the start of a stage, as swinkit has it, and put the classifier into
`head.fc`. Files from older versions have the official names and are read as such. Feature
extractors (`features_only=True`) write `layers_0` for `layers.0`.
"""

from swinkit.checkpoints.keymap import Source, same
from swinkit.checkpoints.microsoft import EMBEDDING, block_entries, merge_entries

TIMM = Source(
    name="timm",
    title="timm",
    anchor=r"layers[._]0\.blocks\.0\.attn\.qkv\.weight",
    block="layers.{stage}.blocks.{block}",
    small_map_rule="shrink_per_axis",
    absent=(r"(.*\.)?layers\.0\.downsample\..*", r"(.*\.)?head\.weight"),
    inner=("backbone.", "model."),
    aliases=((r"^layers_(\d+)\.", r"layers.\1."),),
    entries=(
        *EMBEDDING,
        *block_entries("layers.{stage}.blocks.{block}"),
        *merge_entries("layers.{stage}.downsample", first=0),
        *same("norms.{last}", "norm"),
        *same("head.fc", "head.fc"),
    ),
)
