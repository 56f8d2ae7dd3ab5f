"""timm's swin_transformer and swin_transformer_v2 (0.9 and later), and config.json beside them.

timm moved patch merging to the start of a stage, as swinkit has it, and put the classifier into
`head.fc`. Files from older versions have the official names and are read as such. Feature
extractors (`features_only=True`) write `layers_0` for `layers.0`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes, sizes_from_name
from swinkit.checkpoints.sources.base import (
    Source,
    WeightFile,
    integers,
    numbers,
    part,
    pixels,
    shrunk_windows,
)
from swinkit.checkpoints.sources.sizes import same_shifts, size_note
from swinkit.checkpoints.sources.tables import (
    KeyTable,
    block_rows,
    embedding_rows,
    merge_rows,
    rename,
)
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import FILTERS
from swinkit.parsing import mapping, sequence
from swinkit.settings import SizeHW

CONFIG = "config.json"
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


# Arguments of the constructor to the values that swinkit computes.
_USUAL = {
    "act_layer": ("gelu",),
    "norm_layer": ("layernorm", "LayerNorm"),
    "global_pool": ("avg", ""),
    "always_partition": (False,),
}


def _config(file: WeightFile) -> Mapping[str, Any]:
    return mapping(file.beside.get(CONFIG))


class Timm(Source):
    """Files of timm, and its folders on the hub."""

    name = "timm"
    tables = (TABLE,)
    wrappers = ("state_dict_ema", "state_dict")
    files_beside = (CONFIG,)

    def unsupported(self, file: WeightFile) -> list[str]:
        """Layers of another kind, and another pooling in front of the classifier."""
        args = mapping(_config(file).get("model_args"))
        values = {"global_pool": _config(file).get("global_pool"), **args}
        return [
            f"{CONFIG}: {name} is {values[name]!r}, swinkit computes {usual[0]} alone"
            for name, usual in _USUAL.items()
            if values.get(name) is not None and values[name] not in usual
        ]

    def stated_sizes(self, file: WeightFile) -> StatedSizes | None:
        """What was asked of the constructor comes before what the architecture's name says."""
        config = _config(file)
        if "architecture" not in config:
            return None
        args, trained = mapping(config.get("model_args")), mapping(config.get("pretrained_cfg"))
        named = sizes_from_name(
            str(config["architecture"]), f"{CONFIG} (architecture)", proven=True
        )
        size = sequence(trained.get("input_size"))[-2:] or None
        asked = {
            "window_size": args.get("window_size"),
            "pretrained_window_size": args.get("pretrained_window_sizes"),
        }
        stated: dict[str, Any] = {
            name: integers(value, f"{CONFIG}: model_args.{name}")
            for name, value in asked.items()
            if value is not None
        }
        image_hw = pixels(args.get("img_size"), f"{CONFIG}: model_args.img_size")
        image_hw = image_hw or pixels(size, f"{CONFIG}: pretrained_cfg.input_size")
        if named is None:
            known = bool(stated) or image_hw is not None
            base = StatedSizes(stated_by=CONFIG, proven=True) if known else None
        else:
            base = named
        if base is None:
            return None
        by = f"{CONFIG} (model_args)" if stated else base.stated_by
        return replace(base, stated_by=by, image_hw=image_hw or base.image_hw, **stated)

    def class_names(self, file: WeightFile) -> tuple[str, ...] | None:
        config = _config(file)
        names, described = config.get("label_names"), config.get("label_descriptions")
        if isinstance(described, dict):
            listed = sequence(names) or list(described)
            names = [described.get(name, name) for name in listed if isinstance(name, str)]
        if not all(isinstance(name, (str, int)) for name in sequence(names)):
            raise CheckpointError(f"{CONFIG}: label_names are no list of text")
        return tuple(str(name) for name in names) if isinstance(names, list) else None

    def image_settings(self, file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
        settings = mapping(_config(file).get("pretrained_cfg"))
        if not settings:
            return {}
        where = f"{CONFIG}: pretrained_cfg"
        interpolation = settings.get("interpolation")
        if interpolation is not None and interpolation not in FILTERS:
            raise CheckpointError(
                f"{where}.interpolation is {interpolation!r}; swinkit has {', '.join(FILTERS)}"
            )
        return {
            "resize": _RESIZE.get(str(settings.get("crop_mode", "center")), "crop"),
            "crop_fraction": part(settings, "crop_pct", where),
            "interpolation": interpolation,
            "mean": numbers(settings, "mean", where),
            "std": numbers(settings, "std", where),
        }

    def size_notes(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        def same(side: int, axis: int) -> bool:
            whole = side % config.patch_size == 0
            return whole and same_shifts(config, image_hw[axis], side, axis, rolls_first=True)

        built = f"{image_hw[0]}x{image_hw[1]}"
        why = f"timm rolls before it pads, and keeps the shifts that it was built with for {built}"
        return [size_note(image_hw, "timm", same, why)]

    def window_obstacles(self, config: SwinConfig, image_hw: SizeHW) -> list[str]:
        """It takes any windows, but shrinks them to its maps."""
        built = shrunk_windows(config, config.windows, image_hw, "shrink_per_axis")
        if built == config.windows:
            return []
        return [f"at {image_hw[0]}x{image_hw[1]} it would shrink windows to {built}"]


SOURCE = Timm()
