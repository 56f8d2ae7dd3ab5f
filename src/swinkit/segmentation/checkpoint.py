"""Segmenters from weight files: configuration from tensors; what they cannot tell, from recipes.

Legend: K classes, C channels.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.errors import CheckpointError, ConfigError
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.variants import PAPER_FIT
from swinkit.task.weights import Evidence, TaskWeights, Tensors, describe_backbone

if TYPE_CHECKING:
    from swinkit.segmentation.model import SwinSegmenter

PUBLISHED_SCALES = (1, 2, 3, 6)
_CLASS_ROWS = r"(head|auxiliary)\.logits\.(weight|bias)"


class SegmenterWeights(TaskWeights[SegmenterConfig]):
    """UPerNet, or a U-Net, and an auxiliary head."""

    task = "segmentation"
    head_anchor = r"ppm\.bottleneck\.conv\.weight|head\.levels\.0\.join\.conv\.weight"
    image_kernels = ("head.stem.0.conv.weight",)
    labels = {150: ("ADE20K", Path(__file__).with_name("ade20k_150.txt"))}  # noqa: RUF012
    published_fit = PAPER_FIT

    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> SegmenterConfig:
        return SegmenterConfig.from_dict(values)

    def infer(self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> SegmenterConfig:
        """Reads "pool_scales" of `evidence.settings`, the cells of UPerNet's pooling grids."""
        logits = tensors.get("head.logits.weight")
        if logits is None:
            raise CheckpointError(
                f"{evidence.origin} lacks head.logits.weight; its decoder is incomplete"
            )
        if len(backbone.norm_stages) != backbone.num_stages:
            raise CheckpointError(
                f"{evidence.origin}: its decoder reads maps of stages without a norm, which "
                "swinkit's always norm; take task='backbone' for the backbone"
            )
        settings: dict[str, Any] = _auxiliary(tensors, backbone, evidence)
        bottleneck = tensors.get("ppm.bottleneck.conv.weight")
        if bottleneck is None:
            settings["decoder"] = "unet"
            settings["channels"] = int(tensors["head.levels.0.smooth.conv.weight"].shape[0])
        else:
            settings["channels"] = int(bottleneck.shape[0])
            settings["pool_scales"] = _scales(tensors, evidence)
        try:
            return SegmenterConfig(backbone=backbone, num_classes=int(logits.shape[0]), **settings)
        except ConfigError as error:
            raise CheckpointError(f"{evidence.origin}: {error}") from error

    def class_tensors(self, tensors: Tensors, config: SegmenterConfig) -> list[str]:
        return [name for name in tensors if re.fullmatch(_CLASS_ROWS, name)]

    def small_map_rule(self, version: int) -> SmallMapRule | None:
        """The published segmenters are on V1, and keep shifts."""
        return "keep" if version == 1 else None

    def build(self, config: SegmenterConfig) -> "SwinSegmenter":
        from swinkit.segmentation.model import SwinSegmenter

        return SwinSegmenter(config)

    def describe(self, config: SegmenterConfig) -> str:
        heads = f"{config.decoder} of {config.channels} channels"
        return f"{heads}, {config.num_classes} classes; {describe_backbone(config.backbone)}"


def _scales(tensors: Tensors, evidence: Evidence) -> tuple[int, ...]:
    """Pooling has no parameters: the shapes tell how many grids there are, not which."""
    branches = sum(
        bool(re.fullmatch(r"ppm\.branches\.\d+\.conv\.weight", name)) for name in tensors
    )
    stated = evidence.settings.get("pool_scales")
    scales = tuple(stated) if stated else PUBLISHED_SCALES
    if len(scales) != branches:
        raise CheckpointError(
            f"{evidence.origin} pools to {branches} grids; swinkit knows the sizes {scales} only"
        )
    if not stated:
        evidence.notes.append(f"by the published recipe: pooling to grids of {scales} cells a side")
    return scales


def _auxiliary(tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> dict[str, Any]:
    """Stage, channels and convolutions of the auxiliary head; stage None without one."""
    first = tensors.get("auxiliary.convs.0.conv.weight")
    if first is None:
        return {"auxiliary_stage": None}
    if first.shape[1] not in backbone.channels or first.shape[-1] != 3:
        raise CheckpointError(
            f"{evidence.origin}: the auxiliary head's first convolution has shape "
            f"{tuple(first.shape)}; swinkit builds 3x3 ones on a stage of {backbone.channels} "
            "channels"
        )
    convs = sum(bool(re.fullmatch(r"auxiliary\.convs\.\d+\.conv\.weight", n)) for n in tensors)
    return {
        "auxiliary_stage": backbone.channels.index(int(first.shape[1])),
        "auxiliary_channels": int(first.shape[0]),
        "auxiliary_convs": convs,
    }


WEIGHTS = SegmenterWeights()
