"""What another package's model cannot express, and where it computes something else."""

from swinkit.backbones.config import SmallMapRule, SwinConfig
from swinkit.checkpoints.infer_window import fit_window, map_hw
from swinkit.checkpoints.keymap import Source
from swinkit.settings import SizeHW


def obstacles(source: Source, config: SwinConfig, image_hw: SizeHW) -> list[str]:
    """Why no model of `source` can hold this one; empty where it can."""
    found = []
    last = config.num_stages - 1
    single_norm = any("{last}" in name for entry in source.entries for name in entry.native)
    if config.version not in source.versions:
        found.append(f"it has no Swin V{config.version}")
    if single_norm and not set(config.norm_stages) <= {last}:
        found.append(f"it norms the last stage only, this model stages {config.norm_stages}")
    if source.name in ("timm", "torchvision") and config.absolute_position_hw:
        found.append("it has no absolute position embedding")
    if source.name not in ("microsoft", "microsoft-detection", "mmdet") and not config.patch_norm:
        found.append("it always norms the patch embedding")
    if source.name == "torchvision":
        found += _torchvision(config)
    found += _windows(source, config, image_hw)
    return found


def _torchvision(config: SwinConfig) -> list[str]:
    found = []
    if config.in_channels != 3:
        found.append(f"it takes 3 channels, this model {config.in_channels}")
    if not config.qkv_bias:
        found.append("it always has a bias on query, key and value")
    if any(size != (0, 0) for size in config.pretrained_windows):
        found.append("it has no pretrained window for V2's coordinates")
    if config.num_stages - 1 not in config.norm_stages:
        found.append("it always norms the last stage")
    return found


def _windows(source: Source, config: SwinConfig, image_hw: SizeHW) -> list[str]:
    windows = config.windows
    size = f"{image_hw[0]}x{image_hw[1]}"
    if source.name == "timm":
        built = _built(windows, config, image_hw, "shrink_per_axis")
        return [] if built == windows else [f"at {size} it would shrink windows to {built}"]
    if source.name == "torchvision":
        return (
            [] if len(set(windows)) == 1 else [f"it has one window for all stages, not {windows}"]
        )
    if any(height != width for height, width in (*windows, *config.pretrained_windows)):
        return [f"its windows are square, not {windows}"]
    largest = max(windows)
    one_size = (largest,) * config.num_stages
    shrinks = source.name == "microsoft" or (
        source.name.startswith("huggingface") and config.version == 2
    )
    built = _built(one_size, config, image_hw, "shrink_both") if shrinks else one_size
    if built != windows:
        return [f"with window {largest[0]} at {size} it would build windows {built}, not {windows}"]
    return []


def _built(
    windows: tuple[SizeHW, ...], config: SwinConfig, image_hw: SizeHW, rule: SmallMapRule
) -> tuple[SizeHW, ...]:
    return tuple(
        fit_window(window, map_hw(image_hw, config.patch_size, stage), rule)
        for stage, window in enumerate(windows)
    )


def differences(source: Source, config: SwinConfig, image_hw: SizeHW) -> list[str]:
    """Where the same weights give other numbers in a model of `source`."""
    rule, other = config.small_map_rule, source.small_map_rule
    if rule == other or source.name == "native":
        return []
    for stage, window in enumerate(config.windows):
        size_hw = map_hw(image_hw, config.patch_size, stage)
        fits = [side <= extent for side, extent in zip(size_hw, window, strict=True)]
        if any(fits) and ("keep" in (rule, other) or not all(fits)):
            return [
                f"at {image_hw[0]}x{image_hw[1]} the map of stage {stage + 1} fits in one window, "
                f"where {source.title} has rule {other} and this model {rule}; outputs differ"
            ]
    return []
