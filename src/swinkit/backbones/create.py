"""Backbones by name, with fresh weights; `swinkit.load` gives trained ones."""

from collections.abc import Sequence
from dataclasses import replace

from swinkit.backbones.swin import SwinBackbone
from swinkit.backbones.variants import VARIANTS, Variant
from swinkit.errors import ConfigError
from swinkit.windows.kernels.choice import Kernel


def find_variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        ConfigError: no such variant; the message lists them.
    """
    if name not in VARIANTS:
        raise ConfigError(f"no model named {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]


def create_backbone(
    name: str,
    *,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    norm_stages: Sequence[int] = (0, 1, 2, 3),
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
) -> SwinBackbone:
    """A bare backbone with fresh weights, giving a pyramid of normed maps.

    Args are those of `create_model`; `norm_stages` are the stages whose map is layer-normed.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.
    """
    variant = find_variant(name)
    config = variant.config.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=variant.drop_path_rate if drop_path_rate is None else drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    return SwinBackbone(replace(config, norm_stages=tuple(norm_stages)))
