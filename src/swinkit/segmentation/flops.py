"""FLOPs of a segmenter as the published tables count them: multiply-adds of one image.

Counted are the backbone by the official rule, and every convolution of the decoder at the size at
which the reference runs it (all levels enlarged before they are joined); norms, activations,
resizing and the auxiliary head, which only trains, are left out.
"""

from swinkit.backbones.flops import count_flops
from swinkit.errors import ConfigError
from swinkit.segmentation.config import SegmenterConfig
from swinkit.settings import SizeHW


def count_segmenter_flops(config: SegmenterConfig, image_hw: SizeHW) -> int:
    """Multiply-adds of one image through backbone and decoder.

    Args:
        image_hw: pixels; the paper's table 3 gives 512 x 2048.

    Raises:
        ConfigError: a decoder other than UPerNet, for which nothing is published.
    """
    if config.decoder != "upernet":
        raise ConfigError(f"no counting rule is published for the {config.decoder} decoder")
    places = [-(-image_hw[0] // stride) * -(-image_hw[1] // stride) for stride in _strides(config)]
    widths, channels = config.backbone.channels, config.channels
    scales = config.pool_scales
    total = count_flops(config.backbone, image_hw, None)
    total += sum(scale**2 * widths[-1] * channels for scale in scales)
    total += places[-1] * (widths[-1] + len(scales) * channels) * channels * 9
    for area, width in zip(places[:-1], widths[:-1], strict=True):
        total += area * width * channels + area * channels**2 * 9
    total += places[0] * len(widths) * channels**2 * 9
    return total + places[0] * channels * config.num_classes


def _strides(config: SegmenterConfig) -> tuple[int, ...]:
    return config.backbone.strides
