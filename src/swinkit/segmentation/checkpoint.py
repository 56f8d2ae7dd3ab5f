"""A segmenter's whole configuration from its tensors; what they cannot tell, from the recipe.

Legend: K classes, C channels.
"""

import re
from collections.abc import Sequence

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.keymap import Tensors
from swinkit.errors import CheckpointError, ConfigError
from swinkit.segmentation.config import SegmenterConfig

PUBLISHED_SCALES = (1, 2, 3, 6)


def infer_segmenter(
    tensors: Tensors,
    backbone: SwinConfig,
    notes: list[str],
    *,
    pool_scales: Sequence[int] | None,
    where: str,
) -> SegmenterConfig:
    """Everything `SegmenterConfig` needs.

    Args:
        tensors: decoder and auxiliary head in native names.
        notes: gets a line for what the published recipe decides.
        pool_scales: of UPerNet, where something beside the weights tells them.

    Raises:
        CheckpointError: heads that swinkit does not build, or tensors that contradict each other.
    """
    logits = tensors.get("head.logits.weight")
    if logits is None:
        raise CheckpointError(f"{where} lacks head.logits.weight; its decoder is incomplete")
    stage, width, convs = _auxiliary(tensors, backbone, where)
    try:
        if "ppm.bottleneck.conv.weight" not in tensors:
            return SegmenterConfig(
                backbone=backbone,
                num_classes=int(logits.shape[0]),
                decoder="unet",
                channels=int(tensors["head.levels.0.smooth.conv.weight"].shape[0]),
                auxiliary_stage=stage,
                auxiliary_channels=width,
                auxiliary_convs=convs,
            )
        return SegmenterConfig(
            backbone=backbone,
            num_classes=int(logits.shape[0]),
            channels=int(tensors["ppm.bottleneck.conv.weight"].shape[0]),
            pool_scales=_scales(tensors, pool_scales, notes, where),
            auxiliary_stage=stage,
            auxiliary_channels=width,
            auxiliary_convs=convs,
        )
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _scales(
    tensors: Tensors, told: Sequence[int] | None, notes: list[str], where: str
) -> tuple[int, ...]:
    """Pooling has no parameters: the shapes tell how many grids there are, not which."""
    branches = sum(
        bool(re.fullmatch(r"ppm\.branches\.\d+\.conv\.weight", name)) for name in tensors
    )
    scales = tuple(told) if told else PUBLISHED_SCALES
    if len(scales) != branches:
        raise CheckpointError(
            f"{where} pools to {branches} grids; swinkit knows the sizes {scales} only"
        )
    if not told:
        notes.append(f"by the published recipe: pooling to grids of {scales} cells a side")
    return scales


def _auxiliary(tensors: Tensors, backbone: SwinConfig, where: str) -> tuple[int | None, int, int]:
    """Stage, channels and convolutions of the auxiliary head; stage None without one."""
    first = tensors.get("auxiliary.convs.0.conv.weight")
    if first is None:
        return None, SegmenterConfig.auxiliary_channels, 1
    if first.shape[1] not in backbone.channels or first.shape[-1] != 3:
        raise CheckpointError(
            f"{where}: the auxiliary head's first convolution has shape {tuple(first.shape)}; "
            f"swinkit builds 3x3 ones on a stage of {backbone.channels} channels"
        )
    convs = sum(bool(re.fullmatch(r"auxiliary\.convs\.\d+\.conv\.weight", n)) for n in tensors)
    return backbone.channels.index(int(first.shape[1])), int(first.shape[0]), convs
