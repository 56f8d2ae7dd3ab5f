"""The published sizes of Swin by name, V1 (2103.14030, section 3.3) and V2 (2111.09883), and
FLOPs as their tables count them."""

from dataclasses import dataclass, replace

from swinkit.backbones.config import SwinConfig
from swinkit.settings import SizeHW


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One architecture that has a name.

    Attributes:
        image_size: side in pixels that it was published at; any other size works too.
        drop_path_rate: stochastic depth of its published training recipe.
        params, flops: as printed in the published tables (multiply-adds, official counting rule,
            1000 classes). Where none were published: parameters as counted, FLOPs empty.
    """

    name: str
    config: SwinConfig
    image_size: int
    drop_path_rate: float
    params: str = ""
    flops: str = ""


TINY = SwinConfig()
SMALL = SwinConfig(depths=(2, 2, 18, 2))
BASE = replace(SMALL, embed_dim=128, num_heads=(4, 8, 16, 32))
LARGE = replace(SMALL, embed_dim=192, num_heads=(6, 12, 24, 48))
TINY_C24 = SwinConfig(num_heads=(4, 8, 16, 32))
# Not published: for small pictures and small data, at a patch of 2 pixels.
NANO = SwinConfig(
    patch_size=2, window_size=4, embed_dim=48, depths=(2, 2, 4, 2), num_heads=(2, 4, 8, 16)
)
# Not published: for few pictures, of which a network ten times as large would see a tenth as many.
NANO_3 = SwinConfig(
    patch_size=2, window_size=4, embed_dim=32, depths=(1, 2, 2), num_heads=(1, 2, 4),
    norm_stages=(2,),
)  # fmt: skip


def _v1(
    name: str, size: SwinConfig, window: int, image: int, drop: float, *published: str
) -> Variant:
    return _variant(name, replace(size, window_size=window), image, drop, published)


def _v2(
    name: str,
    size: SwinConfig,
    window: int,
    image: int,
    drop: float,
    pretrained: int,
    *published: str,
) -> Variant:
    # A stage's map bounds the window (official rule), in pretraining at 192 pixels too.
    windows = tuple(min(window, image // 4 // 2**stage) for stage in range(4))
    trained = tuple(min(pretrained, 192 // 4 // 2**stage) for stage in range(4))
    config = replace(
        size, version=2, window_size=windows, pretrained_window_size=trained if pretrained else 0
    )
    return _variant(name, config, image, drop, published)


def _variant(
    name: str, config: SwinConfig, image: int, drop: float, published: tuple[str, ...]
) -> Variant:
    params, flops = published or ("", "")
    return Variant(
        name=name,
        config=config,
        image_size=image,
        drop_path_rate=drop,
        params=params,
        flops=flops,
    )


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        _v1("swin_t", TINY, 7, 224, 0.2, "28M", "4.5G"),
        _v1("swin_s", SMALL, 7, 224, 0.3, "50M", "8.7G"),
        _v1("swin_b", BASE, 7, 224, 0.5, "88M", "15.4G"),
        _v1("swin_b_384", BASE, 12, 384, 0.2, "88M", "47.1G"),
        _v1("swin_l", LARGE, 7, 224, 0.2, "197M", "34.5G"),
        _v1("swin_l_384", LARGE, 12, 384, 0.2, "197M", "103.9G"),
        _v1("swin_t_c24_256", TINY_C24, 8, 256, 0.2, "28M", "5.9G"),
        _v2("swin_v2_t", TINY, 8, 256, 0.2, 0, "28M", "5.9G"),
        _v2("swin_v2_s", SMALL, 8, 256, 0.3, 0, "50M", "11.5G"),
        _v2("swin_v2_b", BASE, 8, 256, 0.5, 0, "88M", "20.3G"),
        _v2("swin_v2_t_w16", TINY, 16, 256, 0.2, 0, "28M", "6.6G"),
        _v2("swin_v2_s_w16", SMALL, 16, 256, 0.3, 0, "50M", "12.6G"),
        _v2("swin_v2_b_w16", BASE, 16, 256, 0.5, 0, "88M", "21.8G"),
        _v2("swin_v2_b_w12_192", BASE, 12, 192, 0.2, 0, "88M", ""),
        _v2("swin_v2_l_w12_192", LARGE, 12, 192, 0.2, 0, "197M", ""),
        _v2("swin_v2_b_w12to16", BASE, 16, 256, 0.2, 12, "88M", "21.8G"),
        _v2("swin_v2_l_w12to16", LARGE, 16, 256, 0.2, 12, "197M", "47.5G"),
        _v2("swin_v2_b_w12to24_384", BASE, 24, 384, 0.2, 12, "88M", "54.7G"),
        _v2("swin_v2_l_w12to24_384", LARGE, 24, 384, 0.2, 12, "197M", "115.4G"),
        _variant("swin_nano", NANO, 64, 0.1, ("6.4M", "")),
        _variant("swin_nano_32", NANO_3, 32, 0.0, ("0.7M", "")),
        _variant("swin_nano_64", NANO_3, 64, 0.0, ("0.7M", "")),
    )
}


def count_flops(config: SwinConfig, image_hw: SizeHW, num_classes: int | None = 1000) -> int:
    """Multiply-adds of one image by the official counting rule.

    It counts linear layers, attention products and norms, on maps without padding. The formula for
    attention is the paper's equation 2.

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
