"""timm's swin_transformer and swin_transformer_v2 (0.9 and later), and config.json beside them.

timm moved patch merging to the start of a stage, as swinkit has it, and put the classifier into
`head.fc`. Files from older versions have the official names and are read as such. Feature
extractors (`features_only=True`) write `layers_0` for `layers.0`.
"""

from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes, sizes_from_name
from swinkit.checkpoints.sources.base import (
    Source,
    WeightFile,
    shrunk_windows,
)
from swinkit.checkpoints.sources.tables import (
    KeyTable,
    block_rows,
    embedding_rows,
    merge_rows,
    rename,
)
from swinkit.settings import SizeHW

_BLOCK = "layers.{stage}.blocks.{block}"
_RESIZE = {"center": "crop", "squash": "squash", "border": "pad"}

TABLE = KeyTable(
    name="timm",
    title="timm",
    anchor=r"layers[._]0\.blocks\.0\.attn\.qkv\.weight",
    block=_BLOCK,
    small_map_rule="shrink_per_axis",
    absent=(
        r"(.*\.)?layers\.0\.downsample\..*",
        r"(.*\.)?head\.weight",
        r"(?!.*blocks)(.*\.)?norm\d\.weight",  # the official detection fork
    ),
    inner=("backbone.", "model."),
    aliases=((r"^layers_(\d+)\.", r"layers.\1."),),
    rows=(
        *embedding_rows(),
        *block_rows(_BLOCK),
        *merge_rows("layers.{stage}.downsample", first=0),
        *rename("norms.{last}", "norm"),
        *rename("head.fc", "head.fc"),
    ),
)


class Timm(Source):
    """Files of timm, and its folders on the hub."""

    name = "timm"
    tables = (TABLE,)
    wrappers = ("state_dict_ema", "state_dict")
    files_beside = ("config.json",)

    def stated_sizes(self, file: WeightFile) -> StatedSizes | None:
        config = file.beside.get("config.json", {})
        if "architecture" not in config:
            return None
        stated_by = "config.json"
        named = sizes_from_name(
            str(config["architecture"]), f"{stated_by} (architecture)", proven=True
        )
        size = (config.get("pretrained_cfg") or {}).get("input_size")
        if named is not None or not size:
            return named
        return StatedSizes(stated_by=stated_by, proven=True, image_hw=tuple(size[-2:]))

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        config = file.beside.get("config.json", {})
        names, described = config.get("label_names"), config.get("label_descriptions")
        if isinstance(described, dict):
            names = [described.get(name, name) for name in (names or described)]
        return tuple(str(name) for name in names) if isinstance(names, list) else None

    def image_settings(self, file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
        settings = file.beside.get("config.json", {}).get("pretrained_cfg") or {}
        if not settings:
            return {}
        return {
            "resize": _RESIZE.get(str(settings.get("crop_mode", "center")), "crop"),
            "crop_fraction": settings.get("crop_pct"),
            "interpolation": settings.get("interpolation"),
            "mean": settings.get("mean"),
            "std": settings.get("std"),
        }

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """It takes any windows, but shrinks them to its maps."""
        built = shrunk_windows(config, config.windows, image_hw, "shrink_per_axis")
        if built == config.windows:
            return []
        return [f"at {image_hw[0]}x{image_hw[1]} it would shrink windows to {built}"]


SOURCE = Timm()
