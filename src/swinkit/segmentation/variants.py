"""The segmenters by name, and what they cost. Importing this needs no PyTorch.

upernet_swin_t, _s, _b, _l are those of the Swin paper, section 4.3 (the official configurations
set stochastic depth to 0.3 for all). The others have not been published: UPerNet on V2 backbones,
a light U-Net decoder, and nano models for small data, quick to train from nothing on a processor.
"""

from dataclasses import replace

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.variants import VARIANTS, count_flops
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.settings import SizeHW

DROP_PATH_RATE = 0.3
# The evaluation of the published models on ADE20K: short side 512, nothing padded.
PAPER_FIT = Fit(short_side=512, long_side=2048, divisor=1)
ALL_STAGES = (0, 1, 2, 3)

# Patches of 4 pixels, not the classifier's 2: street scenes are larger than thumbnails.
NANO = SwinConfig(
    window_size=7,
    embed_dim=32,
    depths=(2, 2, 4, 2),
    num_heads=(1, 2, 4, 8),
    norm_stages=ALL_STAGES,
    small_map_rule="keep",
    drop_path_rate=0.1,
)

BACKBONES = {
    **{f"swin_{size}": f"swin_{size}" for size in ("t", "s", "b", "l")},
    **{f"swin_v2_{size}": f"swin_v2_{size}" for size in ("t", "s", "b")},
    "swin_v2_l": "swin_v2_l_w12to16",
}


def _backbone(variant: str) -> SwinConfig:
    config = VARIANTS[variant].config
    # V1 keeps shift and window on small maps, as the official detection and segmentation code.
    rule = "keep" if config.version == 1 else config.small_map_rule
    return replace(
        config,
        norm_stages=ALL_STAGES,
        small_map_rule=rule,
        drop_path_rate=DROP_PATH_RATE,
    )


def _upernet(backbone: SwinConfig) -> SegmenterConfig:
    return SegmenterConfig(backbone=backbone)


def _unet(backbone: SwinConfig) -> SegmenterConfig:
    return SegmenterConfig(
        backbone=backbone, decoder="unet", channels=256, auxiliary_stage=None, dropout=0.0
    )


SEGMENTERS: dict[str, SegmenterConfig] = {
    **{f"upernet_{name}": _upernet(_backbone(kind)) for name, kind in BACKBONES.items()},
    **{f"unet_{name}": _unet(_backbone(kind)) for name, kind in BACKBONES.items()},
    "upernet_swin_nano": SegmenterConfig(backbone=NANO, channels=64, auxiliary_stage=None),
    "unet_swin_nano": SegmenterConfig(
        backbone=NANO, decoder="unet", channels=64, auxiliary_stage=None, dropout=0.0
    ),
}

# As counted once, with 150 classes and the auxiliary head.
PARAMETERS: dict[str, int] = {
    "upernet_swin_t": 59941862,
    "upernet_swin_s": 81259766,
    "upernet_swin_b": 121279716,
    "upernet_swin_l": 233759936,
    "upernet_swin_v2_t": 60000662,
    "upernet_swin_v2_s": 81381926,
    "upernet_swin_v2_b": 121430308,
    "upernet_swin_v2_l": 233967392,
    "unet_swin_t": 30515552,
    "unet_swin_s": 51833456,
    "unet_swin_b": 90192478,
    "unet_swin_l": 199350842,
    "unet_swin_v2_t": 30574352,
    "unet_swin_v2_s": 51955616,
    "unet_swin_v2_b": 90343070,
    "unet_swin_v2_l": 199558298,
    "upernet_swin_nano": 3324940,
    "unet_swin_nano": 2899892,
}


def count_segmenter_flops(config: SegmenterConfig, image_hw: SizeHW) -> int:
    """FLOPs as the published tables count them: multiply-adds of one image.

    Counted are the backbone by the official rule, and every convolution of the decoder at the size
    at which the reference runs it (all levels upsampled before they are joined); norms,
    activations, resizing and the auxiliary head, which only trains, are left out.

    Args:
        image_hw: pixels; the paper's table 3 gives 512 x 2048.

    Raises:
        ConfigError: a decoder other than UPerNet, for which nothing is published.
    """
    if config.decoder != "upernet":
        raise ConfigError(f"no counting rule is published for the {config.decoder} decoder")
    places = [
        -(-image_hw[0] // stride) * -(-image_hw[1] // stride) for stride in config.backbone.strides
    ]
    widths, channels = config.backbone.channels, config.channels
    scales = config.pool_scales
    total = count_flops(config.backbone, image_hw, None)
    total += sum(scale**2 * widths[-1] * channels for scale in scales)
    total += places[-1] * (widths[-1] + len(scales) * channels) * channels * 9
    for area, width in zip(places[:-1], widths[:-1], strict=True):
        total += area * width * channels + area * channels**2 * 9
    total += places[0] * len(widths) * channels**2 * 9
    return total + places[0] * channels * config.num_classes
