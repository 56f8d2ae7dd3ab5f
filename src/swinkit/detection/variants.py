"""Detectors by name: the published sizes on Swin V1 and V2, and small ones for small data."""

from dataclasses import replace

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.variants import VARIANTS
from swinkit.detection.config import (
    DetectorConfig,
    RCNNConfig,
    RCNNKind,
    RetinaHeadConfig,
    RetinaNetConfig,
    RPNConfig,
    detection_backbone,
)
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, RoIConfig

# Stochastic depth of the published three-times schedules.
DROP_PATH_RATES = {"t": 0.2, "s": 0.2, "b": 0.3, "l": 0.3}

RETINANET_SIZES = ("t",)
RCNN_SIZES: dict[RCNNKind, tuple[str, ...]] = {
    "faster_rcnn": ("t",),
    "mask_rcnn": ("t", "s"),
    "cascade_mask_rcnn": ("t", "s", "b"),
    "htc": ("b", "l"),
}
V1_BACKBONES = {"t": "swin_t", "s": "swin_s", "b": "swin_b", "l": "swin_l"}
# Of V2's large size only the one trained at 192 pixels and window 12 was published.
V2_BACKBONES = {"t": "swin_v2_t", "s": "swin_v2_s", "b": "swin_v2_b", "l": "swin_v2_l_w12to16"}

# Parameters and multiply-adds of the paper's table 2 and of the detection fork, at 1280 x 800.
PUBLISHED: dict[str, tuple[str, str]] = {
    "mask_rcnn_swin_t": ("48M", "267G"),
    "mask_rcnn_swin_s": ("69M", "359G"),
    "cascade_mask_rcnn_swin_t": ("86M", "745G"),
    "cascade_mask_rcnn_swin_s": ("107M", "838G"),
    "cascade_mask_rcnn_swin_b": ("145M", "982G"),
}

# Short and long side of the images that a model is made for, in pixels; any size works.
SIDES = (800, 1333)
NANO_SIDES = (320, 533)


def _backbone(name: str, drop_path_rate: float) -> SwinConfig:
    return detection_backbone(replace(VARIANTS[name].config, drop_path_rate=drop_path_rate))


def _published() -> dict[str, DetectorConfig]:
    found: dict[str, DetectorConfig] = {}
    for prefix, backbones in (("swin", V1_BACKBONES), ("swin_v2", V2_BACKBONES)):
        swin = {size: _backbone(name, DROP_PATH_RATES[size]) for size, name in backbones.items()}
        for size in RETINANET_SIZES:
            found[f"retinanet_{prefix}_{size}"] = RetinaNetConfig(backbone=swin[size])
        for kind, sizes in RCNN_SIZES.items():
            for size in sizes:
                found[f"{kind}_{prefix}_{size}"] = RCNNConfig(kind=kind, backbone=swin[size])
    return found


# Detectors that a processor can train from nothing: few channels, few candidates. Patches have 4
# pixels, not the classifier's 2: photographs are larger than thumbnails. Anchors start at 16
# pixels, half the usual, because images are taken at 320 and not at 800.
NANO_CHANNELS = 64


def _nano() -> dict[str, DetectorConfig]:
    backbone = replace(
        _backbone("swin_nano", 0.05), patch_size=4, window_size=7, depths=(2, 2, 2, 2)
    )
    rpn = RPNConfig(
        scale=4.0, train_pre_nms=500, train_proposals=500, test_pre_nms=500, test_proposals=300
    )
    boxes = RoIConfig(box=BoxHeadConfig(fc_channels=256), num_samples=128)
    masks = replace(boxes, mask=MaskHeadConfig(num_convs=3, channels=NANO_CHANNELS))
    faster = RCNNConfig(
        kind="faster_rcnn", backbone=backbone, fpn_channels=NANO_CHANNELS, rpn=rpn, roi=boxes
    )
    return {
        "retinanet_swin_nano": RetinaNetConfig(
            backbone=backbone,
            fpn_channels=NANO_CHANNELS,
            retina=RetinaHeadConfig(num_convs=2, pre_nms=500),
        ),
        "faster_rcnn_swin_nano": faster,
        "mask_rcnn_swin_nano": replace(faster, kind="mask_rcnn", roi=masks),
    }


DETECTORS: dict[str, DetectorConfig] = {**_published(), **_nano()}

# As counted once, with 80 classes, HTC without its semantic branch.
PARAMETERS: dict[str, int] = {
    "retinanet_swin_t": 38458606,
    "faster_rcnn_swin_t": 45151322,
    "mask_rcnn_swin_t": 47794602,
    "mask_rcnn_swin_s": 69112506,
    "cascade_mask_rcnn_swin_t": 85629804,
    "cascade_mask_rcnn_swin_s": 106947708,
    "cascade_mask_rcnn_swin_b": 144977002,
    "htc_swin_b": 140201654,
    "htc_swin_l": 248700562,
    "retinanet_swin_v2_t": 38517406,
    "faster_rcnn_swin_v2_t": 45210122,
    "mask_rcnn_swin_v2_t": 47853402,
    "mask_rcnn_swin_v2_s": 69234666,
    "cascade_mask_rcnn_swin_v2_t": 85688604,
    "cascade_mask_rcnn_swin_v2_s": 107069868,
    "cascade_mask_rcnn_swin_v2_b": 145127594,
    "htc_swin_v2_b": 140352246,
    "htc_swin_v2_l": 248908018,
    "retinanet_swin_nano": 6118656,
    "faster_rcnn_swin_nano": 6326540,
    "mask_rcnn_swin_nano": 6458972,
}


def sides_of(name: str) -> tuple[int, int]:
    """Short and long side in pixels of the images that a named detector is made for."""
    return NANO_SIDES if name.endswith("_nano") else SIDES
