"""Names of the Swin backbone in mmdet, mmseg and mmpretrain (OpenMMLab).

Patch merging unfolds 2 x 2 tokens channel by channel: column c * 4 + 2 dy + dx, where the official
order is s * C + c with s over (dy, dx) = 00, 10, 01, 11. `reduction` and `norm` are permuted.
"""

from torch import Tensor

from swinkit.checkpoints.keymap import Entry, Group, Source, same
from swinkit.checkpoints.microsoft import block_entries, flatten_grid, read_position

_SWAP = [0, 2, 1, 3]  # 00, 01, 10, 11 <-> 00, 10, 01, 11; its own inverse


def from_unfold(columns: Tensor) -> Tensor:
    """Last axis from (C, 4) in unfold's order to (4, C) in the official one."""
    split = columns.unflatten(-1, (-1, 4)).transpose(-1, -2)  # .. 4 C
    return split[..., _SWAP, :].flatten(-2).contiguous()


def to_unfold(columns: Tensor) -> Tensor:
    """Inverse of `from_unfold`."""
    split = columns.unflatten(-1, (4, -1))[..., _SWAP, :]  # .. 4 C
    return split.transpose(-1, -2).flatten(-2).contiguous()


def _read(group: Group) -> Group:
    return (from_unfold(group[0]),)


def _write(group: Group) -> Group:
    return (to_unfold(group[0]),)


MMDET = Source(
    name="mmdet",
    title="mmdet, mmseg or mmpretrain",
    anchor=r"stages\.0\.blocks\.0\.attn\.w_msa\.qkv\.weight",
    block="stages.{stage}.blocks.{block}",
    small_map_rule="keep",
    inner=("backbone.",),
    entries=(
        *same("patch_embed.projection", "patch_embed.projection"),
        *same("patch_embed.norm", "patch_embed.norm"),
        *block_entries(
            "stages.{stage}.blocks.{block}",
            attention="attn.w_msa",
            hidden="ffn.layers.0.0",
            out="ffn.layers.1",
        ),
        *(
            Entry(
                native=("stages.{stage}.merge." + leaf,),
                foreign=("stages.{stage}.downsample." + leaf,),
                read=_read,
                write=_write,
                first=-1,
            )
            for leaf in ("norm.weight", "norm.bias", "reduction.weight")
        ),
        Entry(
            native=("absolute_position",),
            foreign=("absolute_pos_embed",),
            read=read_position,
            write=flatten_grid,
        ),
        *same("norms.{stage}", "norm{stage}"),
        *same("head.fc", "head.fc", outer=True),
    ),
    persistent=("relative_position_index",),
    wrapper="state_dict",
    versions=(1,),
)
