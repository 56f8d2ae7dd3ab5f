"""Parameters and FLOPs as the published tables count them.

The official `flops()` methods count multiply-adds of linear layers, attention products and norms,
on maps without padding. The formula for attention is the paper's equation 2.
"""

from swinkit.backbones.config import SwinConfig
from swinkit.settings import SizeHW


def count_flops(config: SwinConfig, image_hw: SizeHW, num_classes: int | None = 1000) -> int:
    """Multiply-adds of one image by the official counting rule.

    Args:
        image_hw: pixels. num_classes: None leaves out the last norm and the head.

    Source: the `flops` methods in models/swin_transformer.py and models/swin_transformer_v2.py.
    """
    height, width = (side // config.patch_size for side in image_hw)
    total = float(height * width * config.embed_dim * config.in_channels * config.patch_size**2)
    if config.patch_norm:
        total += height * width * config.embed_dim
    for stage, depth in enumerate(config.depths):
        rows, columns = height // 2**stage, width // 2**stage
        channels = config.channels[stage]
        window = config.windows[stage]
        window_tokens = min(window[0], rows) * min(window[1], columns)
        total += depth * _block(rows * columns, channels, window_tokens, config.mlp_ratio)
        if stage < config.num_stages - 1:
            total += _merging(rows, columns, channels, config.version)
    if num_classes is not None:
        # The reference counts the last norm on h * w / 2**stages tokens.
        total += config.channels[-1] * height * width // 2**config.num_stages
        total += config.channels[-1] * num_classes
    return int(total)


def _block(tokens: int, channels: int, window_tokens: int, mlp_ratio: float) -> float:
    attention = 4 * tokens * channels**2 + 2 * window_tokens * tokens * channels
    return attention + 2 * tokens * channels**2 * mlp_ratio + 2 * tokens * channels


def _merging(rows: int, columns: int, channels: int, version: int) -> int:
    norm = rows * columns * channels // (1 if version == 1 else 2)
    return norm + (rows // 2) * (columns // 2) * 4 * channels * 2 * channels
