"""UPerNet's weights under its own names and the peers', and the peers' small models."""

import re
from typing import Any

import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import SwinSegmenter

SMALL = {"embed_dim": 24, "depths": (2, 2, 3, 1), "num_heads": (2, 4, 8, 16)}
STAGES = (0, 1, 2, 3)

DECODER = (
    (r"decode_head\.psp_modules\.(\d)\.1\.", r"ppm.branches.\1."),
    (r"decode_head\.bottleneck\.", "ppm.bottleneck."),
    (r"decode_head\.lateral_convs\.(\d)\.", r"head.laterals.\1."),
    (r"decode_head\.fpn_convs\.(\d)\.", r"head.fpn.\1."),
    (r"decode_head\.fpn_bottleneck\.", "head.fuse."),
    (r"decode_head\.(conv_seg|classifier)\.", "head.logits."),
    (r"auxiliary_head\.convs\.(\d)\.", r"auxiliary.convs.\1."),
    (r"auxiliary_head\.(conv_seg|classifier)\.", "auxiliary.logits."),
    (r"\.(bn|batch_norm)\.", ".norm."),
)


def decoder_name(foreign: str) -> str:
    """Our name of a decoder's tensor."""
    for pattern, ours in DECODER:
        foreign = re.sub(pattern, ours, foreign)
    return foreign


def small_config(**changes: Any) -> SegmenterConfig:
    """The golden recording's architecture."""
    backbone = SwinConfig(**SMALL, norm_stages=STAGES, small_map_rule="keep")
    values: dict[str, Any] = {
        "backbone": backbone,
        "num_classes": 7,
        "channels": 32,
        "auxiliary_channels": 32,
        "dropout": 0.0,
    }
    return SegmenterConfig(**(values | changes))


def fill(model: SwinSegmenter, state: dict[str, Tensor]) -> SwinSegmenter:
    """Load a peer's whole state, backbone through swinkit's own reader."""
    backbone = {key: value for key, value in state.items() if key.startswith("backbone.")}
    read = load(backbone, strict=True, report=None).state_dict()
    ours = {f"backbone.{key}": value for key, value in read.items()}
    ours |= {decoder_name(key): value for key, value in state.items() if key not in backbone}
    model.load_state_dict(ours, strict=True)
    return model.eval()


def deviation(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference in units of the reference's standard deviation."""
    assert ours.shape == theirs.shape
    return float((ours.detach() - theirs).abs().max() / theirs.std())


def shake_norms(model: torch.nn.Module) -> None:
    """Give batch norms statistics that show."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, std=0.2)
