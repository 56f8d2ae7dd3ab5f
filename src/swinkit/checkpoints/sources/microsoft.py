"""Names of microsoft/Swin-Transformer, V1 and V2, and of its detection and segmentation forks.

The table of a block also serves the families that kept the official names inside it. The official
code merges patches at the end of a stage, swinkit (like figure 3) at the start of the next one.
"""

from torch import Tensor

from swinkit.checkpoints.keymap import Entry, Group, Source, same

BLOCK = "stages.{stage}.blocks.{block}"
MASKED_IMAGE = "part of masked image pre-training"


def block_entries(
    block: str,
    *,
    attention: str = "attn",
    hidden: str = "mlp.fc1",
    out: str = "mlp.fc2",
    step: int = 1,
    first: int = 0,
) -> tuple[Entry, ...]:
    """Rows of one block under the official names, or names of the same build.

    Args:
        block: foreign template of a block.
        attention, hidden, out: foreign names of the attention and of the two MLP layers in it.
        step, first: numbering of stages, see Entry.
    """
    attention = f"{block}.{attention}"
    ours = f"{BLOCK}.attention"

    def rename(native: str, foreign: str, leaves: tuple[str, ...] = ("weight", "bias")) -> tuple:
        return same(native, foreign, leaves=leaves, step=step, first=first)

    def single(native: str, foreign: str, version: int) -> Entry:
        return Entry(native=(native,), foreign=(foreign,), version=version, step=step, first=first)  # type: ignore[arg-type]

    return (
        *rename(f"{BLOCK}.norm1", f"{block}.norm1"),
        *rename(f"{BLOCK}.norm2", f"{block}.norm2"),
        *rename(f"{ours}.qkv", f"{attention}.qkv", ("weight",)),
        *rename(f"{ours}.projection", f"{attention}.proj"),
        *rename(f"{BLOCK}.mlp.fc1", f"{block}.{hidden}"),
        *rename(f"{BLOCK}.mlp.fc2", f"{block}.{out}"),
        single(f"{ours}.qkv.bias", f"{attention}.qkv.bias", 1),
        single(f"{ours}.position_bias.table", f"{attention}.relative_position_bias_table", 1),
        single(f"{ours}.q_bias", f"{attention}.q_bias", 2),
        single(f"{ours}.v_bias", f"{attention}.v_bias", 2),
        single(f"{ours}.logit_scale", f"{attention}.logit_scale", 2),
        *rename(f"{ours}.position_bias.mlp.0", f"{attention}.cpb_mlp.0"),
        *rename(f"{ours}.position_bias.mlp.2", f"{attention}.cpb_mlp.2", ("weight",)),
    )


def merge_entries(merge: str, *, step: int = 1, first: int = -1) -> tuple[Entry, ...]:
    """Rows of patch merging; `first` -1: it stands at the end of the stage before."""
    ours = "stages.{stage}.merge"
    return (
        *same(f"{ours}.norm", f"{merge}.norm", step=step, first=first),
        *same(
            f"{ours}.reduction", f"{merge}.reduction", leaves=("weight",), step=step, first=first
        ),
    )


def flatten_grid(group: Group) -> Group:
    """(1, h, w, C) as (1, h * w, C); reading leaves it flat until the grid is known."""
    return (group[0].flatten(1, 2),)


def _channels_last(group: Group) -> Group:
    return (group[0].permute(0, 2, 3, 1).contiguous(),)


def _channels_first(group: Group) -> Group:
    return (group[0].permute(0, 3, 1, 2).contiguous(),)


def read_position(group: Group) -> Group:
    """The fork keeps (1, C, h, w); its users' files are also met flat, (1, h * w, C)."""
    position: Tensor = group[0]
    return _channels_last(group) if position.dim() == 4 else group


EMBEDDING = (
    *same("patch_embed.projection", "patch_embed.proj"),
    *same("patch_embed.norm", "patch_embed.norm"),
)
BLOCKS = (
    *block_entries("layers.{stage}.blocks.{block}"),
    *merge_entries("layers.{stage}.downsample"),
)
POSITION = Entry(native=("absolute_position",), foreign=("absolute_pos_embed",), write=flatten_grid)
ANCHOR = r"layers\.0\.blocks\.0\.attn\.qkv\.weight"

MICROSOFT = Source(
    name="microsoft",
    title="microsoft/Swin-Transformer",
    anchor=ANCHOR,
    block="layers.{stage}.blocks.{block}",
    small_map_rule="shrink_both",
    inner=("encoder.", "backbone."),
    entries=(
        *EMBEDDING,
        *BLOCKS,
        POSITION,
        *same("norms.{last}", "norm"),
        *same("head.fc", "head"),
    ),
    ignored=((r"mask_token", MASKED_IMAGE),),
    persistent=("relative_position_index", "relative_coords_table", "attn_mask"),
    wrapper="model",
)

DETECTION_FORK = Source(
    name="microsoft-detection",
    title="the detection or segmentation fork of microsoft/Swin-Transformer",
    anchor=ANCHOR,
    block="layers.{stage}.blocks.{block}",
    small_map_rule="keep",
    marks=(r"(?!.*blocks)(.*\.)?norm\d\.weight",),
    inner=("backbone.",),
    entries=(
        *EMBEDDING,
        *BLOCKS,
        Entry(
            native=("absolute_position",),
            foreign=("absolute_pos_embed",),
            read=read_position,
            write=_channels_first,
        ),
        *same("norms.{stage}", "norm{stage}"),
    ),
    ignored=((r"norm\.(weight|bias)|head\.(weight|bias)", "classifier's, not used by the fork"),),
    persistent=("relative_position_index",),
    wrapper="state_dict",
    versions=(1,),
)
