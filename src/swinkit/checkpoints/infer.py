"""The whole architecture from native tensors, their shapes, and derived buffers.

Legend: C channels, N heads, M window (Mh, Mw).
"""

import math
import re
from dataclasses import dataclass, field

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.checkpoints.infer_window import image_from, map_hw, windows_v1, windows_v2
from swinkit.checkpoints.keymap import NativeState
from swinkit.checkpoints.sidecar import Facts
from swinkit.errors import CheckpointError, ConfigError
from swinkit.settings import SizeHW


@dataclass(kw_only=True)
class Inferred:
    """Architecture read off a file.

    Attributes:
        image_hw: size the file was made for, in pixels.
        guesses: decisions that the file does not prove.
        notes: where the rest was read.
    """

    config: SwinConfig
    num_classes: int | None
    image_hw: SizeHW
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Arguments of `load` that can fill what a file does not tell."""

    image_hw: SizeHW | None = None
    window_size: object = None
    pretrained_window_size: object = None


def infer(
    native: NativeState, rule: SmallMapRule, facts: Facts | None, wanted: Wanted, where: str
) -> Inferred:
    """Everything `SwinConfig` needs.

    Raises:
        CheckpointError: tensors that no Swin has, or that contradict each other.
    """
    tensors = native.tensors
    embed_dim, in_channels, patch_size = _patch(native, where)
    depths = _depths(native, where)
    heads, hidden = _heads(native, len(depths)), _hidden(native, embed_dim, len(depths), where)
    guesses: list[str] = []
    notes: list[str] = []
    if native.version == 1:
        windows = windows_v1(native, len(depths), wanted, where, guesses)
        pretrained: tuple[SizeHW, ...] = ((0, 0),) * len(depths)
        image_hw = image_from(native, windows, patch_size, facts, wanted, notes)
    else:
        windows, pretrained, image_hw = windows_v2(
            native, len(depths), patch_size, rule, facts, wanted, guesses, notes
        )
    first = "stages.0.blocks.0.attention."
    head = tensors.get("head.fc.weight")
    try:
        config = SwinConfig(
            version=native.version,
            in_channels=in_channels,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depths=depths,
            num_heads=heads,
            window_size=windows,
            mlp_ratio=hidden / embed_dim,
            qkv_bias=first + "qkv.bias" in tensors or first + "q_bias" in tensors,
            patch_norm="patch_embed.norm.weight" in tensors,
            absolute_position_hw=_position_grid(native, image_hw, patch_size, where),
            pretrained_window_size=pretrained,
            norm_stages=_norm_stages(native),
            small_map_rule=rule,
        )
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return Inferred(
        config=config,
        num_classes=None if head is None else int(head.shape[0]),
        image_hw=image_hw,
        guesses=guesses,
        notes=notes,
    )


def describe(config: SwinConfig, num_classes: int | None) -> str:
    """The architecture in a line."""
    windows = sorted(set(config.windows), reverse=True)
    head = f"{num_classes} classes" if num_classes else "backbone"
    return (
        f"Swin V{config.version}, {config.embed_dim} channels, depths {list(config.depths)}, "
        f"heads {list(config.num_heads)}, windows {[f'{h}x{w}' for h, w in windows]}, "
        f"{config.in_channels} input channels, {head}"
    )


def _patch(native: NativeState, where: str) -> tuple[int, int, int]:
    """Channels out, channels in and side of the patch projection."""
    projection = native.tensors.get("patch_embed.projection.weight")
    if projection is None or projection.dim() != 4 or projection.shape[2] != projection.shape[3]:
        shape = None if projection is None else tuple(projection.shape)
        raise CheckpointError(
            f"{where}: patch embedding has shape {shape}; expected (C, channels, p, p)"
        )
    return int(projection.shape[0]), int(projection.shape[1]), int(projection.shape[2])


def _depths(native: NativeState, where: str) -> tuple[int, ...]:
    blocks: dict[int, set[int]] = {}
    for name in native.tensors:
        found = re.match(r"stages\.(\d+)\.blocks\.(\d+)\.", name)
        if found:
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    for number, stage in enumerate(sorted(blocks)):
        if stage != number or blocks[stage] != set(range(len(blocks[stage]))):
            raise CheckpointError(
                f"{where}: stage {stage} has blocks {sorted(blocks[stage])}; some are missing"
            )
    if not blocks:
        raise CheckpointError(f"{where} holds no Swin blocks")
    return tuple(len(blocks[stage]) for stage in sorted(blocks))


def _heads(native: NativeState, stages: int) -> tuple[int, ...]:
    heads = []
    for stage in range(stages):
        attention = f"stages.{stage}.blocks.0.attention."
        if native.version == 1:
            table = native.tensors.get(attention + "position_bias.table")
            heads.append(0 if table is None else int(table.shape[1]))
        else:
            heads.append(int(native.tensors[attention + "logit_scale"].shape[0]))
    return tuple(heads)


def _hidden(native: NativeState, embed_dim: int, stages: int, where: str) -> float:
    """Hidden width of the MLP in stage 0, after checking that widths double."""
    ratios = set()
    for stage in range(stages):
        channels = embed_dim * 2**stage
        block = f"stages.{stage}.blocks.0."
        qkv = native.tensors.get(block + "attention.qkv.weight")
        fc1 = native.tensors.get(block + "mlp.fc1.weight")
        if qkv is None or fc1 is None:
            raise CheckpointError(f"{where}: block 0 of stage {stage} is incomplete")
        if tuple(qkv.shape) != (3 * channels, channels):
            raise CheckpointError(
                f"{where}: stage {stage} has qkv of shape {tuple(qkv.shape)}, expected "
                f"{(3 * channels, channels)}; swinkit builds stages whose width doubles"
            )
        ratios.add(fc1.shape[0] / channels)
    if len(ratios) > 1:
        raise CheckpointError(f"{where}: MLP ratios {sorted(ratios)} differ between stages")
    return ratios.pop() * embed_dim


def _norm_stages(native: NativeState) -> tuple[int, ...]:
    found = (re.fullmatch(r"norms\.(\d+)\.weight", name) for name in native.tensors)
    return tuple(sorted(int(match[1]) for match in found if match))


def _position_grid(native: NativeState, image_hw: SizeHW, patch: int, where: str) -> SizeHW | None:
    """Grid of the absolute position embedding; a flat (1, h w, C) one is given its grid."""
    position = native.tensors.get("absolute_position")
    if position is None:
        return None
    if position.dim() == 3:
        count = int(position.shape[1])
        grid = map_hw(image_hw, patch, 0)
        side = math.isqrt(count)
        if grid[0] * grid[1] != count:
            grid = (side, side)
        if grid[0] * grid[1] != count:
            raise CheckpointError(
                f"{where}: {count} absolute positions form no square; "
                "give image_size=(height, width)"
            )
        position = position.reshape(1, *grid, -1)
        native.tensors["absolute_position"] = position
    return int(position.shape[1]), int(position.shape[2])
