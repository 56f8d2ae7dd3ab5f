"""Small detectors and segmenters, and the golden ones in the names of every package."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from checkpoint_peers import strengthen
from safetensors.torch import load_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.detection.config import (
    DetectorConfig,
    Kind,
    RCNNConfig,
    RetinaNetConfig,
    default_roi,
)
from swinkit.detection.model import SwinDetector
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, RoIConfig, SemanticConfig
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import SwinSegmenter

BACKBONE = SwinConfig(
    embed_dim=8,
    depths=(2, 1, 1, 1),
    num_heads=(1, 2, 4, 8),
    norm_stages=(0, 1, 2, 3),
    small_map_rule="keep",
)
CLASSES = 5


def golden(folder: Path, name: str) -> dict[str, Tensor]:
    return load_file(folder / f"{name}.safetensors")


def facts(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def state_of(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stored state dict, in the names of mmdet 3 and mmseg 1."""
    return {
        name.removeprefix("state."): value
        for name, value in values.items()
        if name.startswith("state.")
    }


def official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """mmdet 3 names and merging order to those of the official forks, by the golden README."""
    pairs = (
        ("backbone.stages.", "backbone.layers."),
        (".attn.w_msa.", ".attn."),
        (".ffn.layers.0.0.", ".mlp.fc1."),
        (".ffn.layers.1.", ".mlp.fc2."),
        ("patch_embed.projection.", "patch_embed.proj."),
    )
    renamed = {}
    for name, value in state.items():
        if ".downsample." in name:
            columns = value.reshape(*value.shape[:-1], -1, 4)  # .. C 4, place 2 dy + dx
            columns = columns[..., [0, 2, 1, 3]].transpose(-1, -2)  # .. 4 C
            value = columns.reshape(value.shape)
        if name.startswith("backbone."):
            for old, new in pairs:
                name = name.replace(old, new)
        renamed[name] = value.contiguous()
    return renamed


def small_roi(kind: Kind, *, classes_share_boxes: bool | None = None) -> RoIConfig:
    roi = default_roi(kind)
    agnostic = roi.box.class_agnostic if classes_share_boxes is None else classes_share_boxes
    box: BoxHeadConfig = replace(roi.box, fc_channels=24, class_agnostic=agnostic)
    if box.num_convs:
        box = replace(box, conv_channels=16)
    mask = roi.mask and replace(roi.mask, channels=16, num_convs=2)
    assert mask is None or isinstance(mask, MaskHeadConfig)
    semantic = SemanticConfig(num_classes=9, channels=12) if kind == "htc" else None
    return replace(roi, box=box, mask=mask, semantic=semantic)


def detector(kind: Kind, *, num_classes: int = CLASSES, **roi: Any) -> SwinDetector:
    """A small detector with strong random weights."""
    settings: dict[str, Any] = {
        "backbone": BACKBONE,
        "num_classes": num_classes,
        "fpn_channels": 16,
    }
    config: DetectorConfig = RetinaNetConfig(**settings)
    if kind != "retinanet":
        config = RCNNConfig(kind=kind, roi=small_roi(kind, **roi), **settings)
    return shaken(SwinDetector.from_config(config))  # type: ignore[return-value]


def segmenter(**settings: Any) -> SwinSegmenter:
    """A small segmenter with strong random weights."""
    values = {"num_classes": CLASSES, "channels": 12, "auxiliary_channels": 10, **settings}
    return shaken(SwinSegmenter(SegmenterConfig(backbone=BACKBONE, **values)))  # type: ignore[return-value]


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Strong weights, and batch norm statistics that show where they are lost."""
    strengthen(model)
    generator = torch.Generator().manual_seed(1)
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif name.endswith("num_batches_tracked"):
            value.fill_(7)
    return model


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name])
        for name, value in one.items()
    )
