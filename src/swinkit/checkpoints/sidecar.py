"""What stands beside the weights: published windows and sizes, class names, preprocessing."""

import re
from dataclasses import dataclass
from typing import Any

from swinkit.checkpoints.opening import WeightFile
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import Preprocessing
from swinkit.settings import SizeHW

_NAME = re.compile(r"window(\d+)(?:to(\d+))?[_-](\d+)(?:to(\d+))?(?!\d)")
# (image size, window) of the published V2 training runs, for files that say nothing.
IMAGE_OF_WINDOW = {6: 192, 7: 224, 8: 256, 12: 192, 16: 256, 24: 384}
WINDOW_OF_IMAGE = {192: 12, 256: 8, 384: 24}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What something beside the tensors says about the architecture.

    Attributes:
        said_by: whom the report names.
        proven: whether it belongs to the weights (config.json) or only suggests (a file name).
        window_size, pretrained_window_size: as the constructor of the source takes them.
        image_hw, pretrained_image: pixels.
    """

    said_by: str
    proven: bool
    window_size: int | tuple[int, ...] | None = None
    pretrained_window_size: int | tuple[int, ...] | None = None
    image_hw: SizeHW | None = None
    pretrained_image: int | None = None


def facts_beside(opened: WeightFile) -> Facts | None:
    """The first of: swinkit's own table, config.json, the file's name; None if all are silent."""
    entry = opened.published
    if entry is not None and entry.window_size is not None:
        assert entry.image_size is not None
        return Facts(
            said_by=f"the table of published weights ({entry.name})",
            proven=True,
            window_size=entry.window_size,
            pretrained_window_size=entry.pretrained_window_size,
            image_hw=(entry.image_size, entry.image_size),
            pretrained_image=192 if entry.pretrained_window_size else None,
        )
    config = opened.config
    if "window_size" in config:
        pretrained = config.get("pretrained_window_sizes") or 0
        return Facts(
            said_by="config.json",
            proven=True,
            window_size=_whole(config["window_size"]),
            pretrained_window_size=_whole(pretrained),
            image_hw=_pair(config.get("image_size")),
        )
    if "architecture" in config:
        facts = from_name(str(config["architecture"]), "config.json (architecture)", proven=True)
        size = (config.get("pretrained_cfg") or {}).get("input_size")
        if facts is None and size:
            return Facts(said_by="config.json", proven=True, image_hw=_pair(size[-2:]))
        return facts
    return from_name(opened.name, f"the file name {opened.name}", proven=False)


def from_name(name: str, said_by: str, *, proven: bool) -> Facts | None:
    """Read `window12to24_192to384` or `window7_224` in a published name."""
    found = _NAME.search(name)
    if found is None:
        return None
    first_window, window, first_image, image = (int(text) if text else 0 for text in found.groups())
    side = image or first_image
    return Facts(
        said_by=said_by,
        proven=proven,
        window_size=window or first_window,
        pretrained_window_size=first_window if window else 0,
        image_hw=(side, side),
        pretrained_image=first_image if window else None,
    )


def class_names_of(opened: WeightFile, num_classes: int) -> tuple[str, ...] | None:
    """Names from config.json, or ImageNet's for published 1K weights; None where unknown."""
    config = opened.config
    labels = config.get("id2label")
    if isinstance(labels, dict) and len(labels) == num_classes:
        names = [str(labels.get(str(i), labels.get(i, ""))) for i in range(num_classes)]
        if not all(re.fullmatch(r"LABEL_\d+|", name) for name in names):
            return tuple(names)
    listed = config.get("label_descriptions") or config.get("label_names")
    if isinstance(listed, dict):
        listed = [listed.get(name, name) for name in config.get("label_names", listed)]
    if isinstance(listed, list) and len(listed) == num_classes:
        return tuple(str(name) for name in listed)
    if opened.published is not None and opened.published.image_size and num_classes == 1000:
        # Only published files need it, and it takes over a second to import.
        from torchvision.models import Swin_T_Weights

        return tuple(Swin_T_Weights.IMAGENET1K_V1.meta["categories"])
    return None


def preprocessing_of(opened: WeightFile, image_hw: SizeHW, channels: int) -> Preprocessing:
    """How to prepare images: from the settings beside the weights, else the official evaluation."""
    base = Preprocessing.for_size(image_hw, channels=channels)
    fraction = opened.published.crop_fraction if opened.published else None
    if fraction is not None:
        return _changed(base, crop_fraction=fraction) if fraction < 1 else base
    timm = opened.config.get("pretrained_cfg") or {}
    if timm:
        mode = {"center": "crop", "squash": "squash", "border": "pad"}
        return _changed(
            base,
            resize=mode.get(str(timm.get("crop_mode", "center")), "crop"),
            crop_fraction=float(timm.get("crop_pct") or base.crop_fraction),
            interpolation=timm.get("interpolation") or base.interpolation,
            **statistics(timm.get("mean"), timm.get("std"), channels),
        )
    if opened.processor:
        return _from_processor(base, opened.processor, channels)
    return base


def _from_processor(base: Preprocessing, processor: dict[str, Any], channels: int) -> Preprocessing:
    """transformers' image processors: ViT's squashes, ConvNeXT's crops by crop_pct below 384."""
    filters = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
    fraction = processor.get("crop_pct")
    crops = bool(processor.get("do_center_crop")) or (fraction and min(base.size_hw) < 384)
    return _changed(
        base,
        resize="crop" if crops else "squash",
        crop_fraction=float(fraction or base.crop_fraction),
        interpolation=filters.get(processor.get("resample", 3), base.interpolation),
        **statistics(processor.get("image_mean"), processor.get("image_std"), channels),
    )


def statistics(mean: Any, std: Any, channels: int) -> dict[str, Any]:
    """Mean and deviation as settings where there is one of each per channel, else nothing."""
    if mean and std and len(mean) == len(std) == channels:
        return {"mean": tuple(mean), "std": tuple(std)}
    return {}


def _changed(base: Preprocessing, **changes: Any) -> Preprocessing:
    return Preprocessing.from_dict({**base.to_dict(), **changes})


def _whole(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, int):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, int) for item in value):
        return tuple(value) if any(value) else 0
    raise CheckpointError(f"config.json: window sizes {value!r} are no integers")


def _pair(value: Any) -> SizeHW | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return int(value[0]), int(value[1])
    return None
