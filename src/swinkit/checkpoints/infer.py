"""The architecture of a backbone from native tensors, their shapes, and derived buffers.

Legend: C channels, N heads, M window (Mh, Mw).
"""

import math
import re
from dataclasses import dataclass

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import (
    BackboneEvidence,
    image_size,
    map_hw,
    pretrained_windows,
    windows_v1,
    windows_v2,
)
from swinkit.checkpoints.sources.tables import Tensors
from swinkit.errors import CheckpointError, ConfigError
from swinkit.settings import SizeHW


@dataclass(kw_only=True)
class BackboneWeights:
    """A backbone's tensors, in native names, and what they make.

    Attributes:
        image_hw: size in pixels that the model is made for.
    """

    tensors: Tensors
    config: SwinConfig
    image_hw: SizeHW


def infer_backbone(evidence: BackboneEvidence) -> BackboneWeights:
    """Everything `SwinConfig` needs; absolute positions get their grid.

    Raises:
        CheckpointError: tensors that no Swin has, or that contradict each other.
    """
    tensors = dict(evidence.tensors)
    embed_dim, in_channels, patch_size = _patch(evidence)
    depths = _depths(evidence)
    stages = len(depths)
    hidden = _hidden(evidence, embed_dim, stages)
    if evidence.version == 1:
        windows = windows_v1(evidence, stages)
        pretrained: tuple[SizeHW, ...] = ((0, 0),) * stages
        image_hw = image_size(evidence, windows, patch_size)
    else:
        windows, image_hw = windows_v2(evidence, stages, patch_size)
        pretrained = pretrained_windows(evidence, windows, patch_size)
    grid = _position_grid(evidence, image_hw, patch_size)
    if grid is not None:
        tensors["absolute_position"] = tensors["absolute_position"].reshape(1, *grid, -1)
    first = "stages.0.blocks.0.attention."
    try:
        config = SwinConfig(
            version=evidence.version,
            in_channels=in_channels,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depths=depths,
            num_heads=_heads(evidence, stages),
            window_size=windows,
            mlp_ratio=hidden / embed_dim,
            qkv_bias=first + "qkv.bias" in tensors or first + "q_bias" in tensors,
            patch_norm="patch_embed.norm.weight" in tensors,
            absolute_position_hw=grid,
            pretrained_window_size=pretrained,
            norm_stages=_norm_stages(evidence),
            small_map_rule=evidence.rule,
        )
    except ConfigError as error:
        raise CheckpointError(f"{evidence.origin}: {error}") from error
    return BackboneWeights(tensors=tensors, config=config, image_hw=image_hw)


def _patch(evidence: BackboneEvidence) -> tuple[int, int, int]:
    """Channels out, channels in and side of the patch projection."""
    projection = evidence.tensors.get("patch_embed.projection.weight")
    usual = projection is not None and projection.dim() == 4 and projection.numel() > 0
    if projection is None or not usual or projection.shape[2] != projection.shape[3]:
        shape = None if projection is None else tuple(projection.shape)
        raise CheckpointError(
            f"{evidence.origin}: patch embedding has shape {shape}; expected (C, channels, p, p)"
        )
    return int(projection.shape[0]), int(projection.shape[1]), int(projection.shape[2])


def _depths(evidence: BackboneEvidence) -> tuple[int, ...]:
    blocks: dict[int, set[int]] = {}
    for name in evidence.tensors:
        found = re.match(r"stages\.(\d+)\.blocks\.(\d+)\.", name)
        if found:
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    for number, stage in enumerate(sorted(blocks)):
        if stage != number or blocks[stage] != set(range(len(blocks[stage]))):
            raise CheckpointError(
                f"{evidence.origin}: stage {stage} has blocks {sorted(blocks[stage])}; "
                "some are missing"
            )
    if not blocks:
        raise CheckpointError(f"{evidence.origin} holds no Swin blocks")
    return tuple(len(blocks[stage]) for stage in sorted(blocks))


def _heads(evidence: BackboneEvidence, stages: int) -> tuple[int, ...]:
    heads = []
    for stage in range(stages):
        attention = f"stages.{stage}.blocks.0.attention."
        if evidence.version == 1:
            table = evidence.tensors.get(attention + "position_bias.table")
            heads.append(0 if table is None else int(table.shape[1]))
        else:
            heads.append(int(evidence.tensors[attention + "logit_scale"].shape[0]))
    return tuple(heads)


def _hidden(evidence: BackboneEvidence, embed_dim: int, stages: int) -> float:
    """Hidden width of the MLP in stage 0, after checking that widths double."""
    ratios = set()
    for stage in range(stages):
        channels = embed_dim * 2**stage
        block = f"stages.{stage}.blocks.0."
        qkv = evidence.tensors.get(block + "attention.qkv.weight")
        fc1 = evidence.tensors.get(block + "mlp.fc1.weight")
        if qkv is None or fc1 is None:
            raise CheckpointError(f"{evidence.origin}: block 0 of stage {stage} is incomplete")
        if tuple(qkv.shape) != (3 * channels, channels):
            raise CheckpointError(
                f"{evidence.origin}: stage {stage} has qkv of shape {tuple(qkv.shape)}, expected "
                f"{(3 * channels, channels)}; swinkit builds stages whose width doubles"
            )
        ratios.add(fc1.shape[0] / channels)
    if len(ratios) > 1:
        raise CheckpointError(
            f"{evidence.origin}: MLP ratios {sorted(ratios)} differ between stages"
        )
    return ratios.pop() * embed_dim


def _norm_stages(evidence: BackboneEvidence) -> tuple[int, ...]:
    found = (re.fullmatch(r"norms\.(\d+)\.weight", name) for name in evidence.tensors)
    return tuple(sorted(int(match[1]) for match in found if match))


def _position_grid(evidence: BackboneEvidence, image_hw: SizeHW, patch: int) -> SizeHW | None:
    """Grid of the absolute position embedding, (1, h, w, C) or flat."""
    position = evidence.tensors.get("absolute_position")
    if position is None:
        return None
    if position.dim() == 4:
        return int(position.shape[1]), int(position.shape[2])
    count = int(position.shape[1])
    side = math.isqrt(count)
    for grid in (map_hw(image_hw, patch, 0), (side, side)):
        if grid[0] * grid[1] == count:
            return grid
    raise CheckpointError(
        f"{evidence.origin}: {count} absolute positions form no square; "
        "give image_size=(height, width)"
    )
