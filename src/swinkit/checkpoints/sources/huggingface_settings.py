"""The two settings files beside transformers' weights: read, and written.

`config.json` says what the network computes and which classes it tells apart,
`preprocessor_config.json` how an image is prepared. A setting that swinkit cannot obey is refused.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import StatedSizes
from swinkit.checkpoints.sources.base import WeightFile, integers, numbers, part, pixels
from swinkit.errors import CheckpointError
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from swinkit.parsing import integer, mapping, number, truth
from swinkit.settings import SizeHW

if TYPE_CHECKING:
    from swinkit.segmentation.config import SegmenterConfig

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
_ACTIVATIONS = ("gelu", "gelu_python")  # both exact, by the error function
_NORM_EPS = 1e-5
# Statistics of processors whose files do not state them.
_HALF = (0.5, 0.5, 0.5)
_OF_IMAGENET = ("Segformer", "MaskFormer", "Mask2Former", "OneFormer")


def swin_settings(file: WeightFile) -> Mapping[str, Any]:
    """Of the Swin: the whole of config.json, or what a larger model's nests in it."""
    level = [mapping(file.beside.get(CONFIG))]
    while level:
        for settings in level:
            if "window_size" in settings and ("embed_dim" in settings or "depths" in settings):
                return settings
        level = [mapping(value) for settings in level for value in settings.values()]
        level = [settings for settings in level if settings]
    top = mapping(file.beside.get(CONFIG))
    return top if "window_size" in top else {}


def unsupported(file: WeightFile) -> list[str]:
    """What config.json asks of the network that swinkit does not compute."""
    settings, found = swin_settings(file), []
    activation, eps = settings.get("hidden_act", "gelu"), settings.get("layer_norm_eps", _NORM_EPS)
    if activation not in _ACTIVATIONS:
        found.append(f"{CONFIG}: hidden_act is {activation!r}, swinkit computes gelu alone")
    value = number(eps)
    if value is None or abs(value - _NORM_EPS) > 1e-3 * _NORM_EPS:
        found.append(f"{CONFIG}: layer_norm_eps is {eps!r}, swinkit computes with 1e-5 alone")
    return found


def stated_sizes(file: WeightFile) -> StatedSizes | None:
    """Windows and image size in config.json. Raises CheckpointError: they are no numbers."""
    settings = swin_settings(file)
    if "window_size" not in settings:
        return None
    return StatedSizes(
        stated_by=CONFIG,
        proven=True,
        window_size=integers(settings["window_size"], f"{CONFIG}: window_size"),
        pretrained_window_size=integers(
            settings.get("pretrained_window_sizes") or 0, f"{CONFIG}: pretrained_window_sizes"
        ),
        image_hw=pixels(settings.get("image_size"), f"{CONFIG}: image_size"),
    )


def class_names(file: WeightFile) -> tuple[str, ...] | None:
    """Of config.json, unless they only count: LABEL_0, LABEL_1."""
    labels = mapping(file.beside.get(CONFIG)).get("id2label")
    if not isinstance(labels, dict):
        return None
    found = [labels.get(str(number), "") for number in range(len(labels))]
    names = tuple(str(name) if isinstance(name, (str, int)) else "" for name in found)
    unnamed = all(re.fullmatch(r"LABEL_\d+|", name) for name in names)
    return None if unnamed else names


def image_settings(file: WeightFile, size_hw: SizeHW) -> dict[str, Any]:
    """Fields of `Preprocessing` from preprocessor_config.json.

    ViT's image processor squashes, ConvNeXT's crops by crop_pct below 384; those that crop the
    center after a resize keep the ratio of the two sizes.

    Raises:
        CheckpointError: a setting that is damaged, or that swinkit cannot obey.
    """
    settings = mapping(file.beside.get(PROCESSOR))
    if not settings:
        return {}
    if not _switch(settings, "do_resize"):
        raise CheckpointError(
            f"{PROCESSOR}: do_resize is false, swinkit brings every image to the model's size; "
            "set it to true"
        )
    fraction = part(settings, "crop_pct", PROCESSOR)
    centered = _switch(settings, "do_center_crop", default=False)
    if centered and fraction is None:
        fraction = _center_fraction(settings)
    mean, std = _statistics(settings)
    return {
        "resize": "crop" if centered or (fraction and min(size_hw) < 384) else "squash",
        "crop_fraction": fraction,
        "interpolation": _filter(settings),
        "mean": mean,
        "std": std,
    }


def _switch(settings: Mapping[str, Any], name: str, *, default: bool = True) -> bool:
    value = settings.get(name)
    found = default if value is None else truth(value)
    if found is None:
        raise CheckpointError(f"{PROCESSOR}: {name} is {value!r}; give true or false")
    return found


def _center_fraction(settings: Mapping[str, Any]) -> float | None:
    """Side of the crop over the side that was resized to, where both are stated."""
    sides = []
    for name in ("crop_size", "size"):
        value = settings.get(name)
        inside = mapping(value)
        sides.append(number(inside.get("shortest_edge", inside.get("height", value))))
    crop, whole = sides
    return crop / whole if crop and whole and 0 < crop <= whole else None


def _filter(settings: Mapping[str, Any]) -> str | None:
    """Pillow's number of a filter, or its name."""
    value = settings.get("resample")
    if value is None:
        return None
    name = value.rpartition(".")[2].lower() if isinstance(value, str) else ""
    if name in _FILTERS:
        return name
    index = integer(value)
    if index is None or index not in range(len(_FILTERS)):
        raise CheckpointError(
            f"{PROCESSOR}: resample is {value!r}; Pillow's filters are 0 to {len(_FILTERS) - 1}"
        )
    return _FILTERS[index]


def _statistics(
    settings: Mapping[str, Any],
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and deviation of values in 0..1 that give the processor's numbers.

    The processor computes (255 f x - mean) / std of x in 0..1, where f is 1 without rescaling, and
    255 f x without normalization.
    """
    stated = settings.get("rescale_factor")
    factor = 1 / 255 if stated is None else number(stated)
    if factor is None or factor <= 0:
        raise CheckpointError(f"{PROCESSOR}: rescale_factor is {stated!r}; give a number above 0")
    if not _switch(settings, "do_rescale"):
        factor = 1.0
    scale = 255 * factor
    if abs(scale - 1) < 1e-6:
        scale = 1.0  # the usual statistics stay as they are written
    mean = numbers(settings, "image_mean", PROCESSOR)
    std = numbers(settings, "image_std", PROCESSOR)
    if not _switch(settings, "do_normalize"):
        channels = len(mean or _HALF)
        return (0.0,) * channels, (1 / scale,) * channels
    kind = str(settings.get("image_processor_type", settings.get("feature_extractor_type", "")))
    usual = (IMAGENET_MEAN, IMAGENET_STD) if kind.startswith(_OF_IMAGENET) else (_HALF, _HALF)
    mean, std = mean or usual[0], std or usual[1]
    if len(mean) != len(std) or min(std) <= 0:
        raise CheckpointError(
            f"{PROCESSOR}: image_mean {mean} and image_std {std} are no statistics of one image; "
            "give one number of each per channel"
        )
    return tuple(value / scale for value in mean), tuple(value / scale for value in std)


def model_config(config: SwinConfig, image_hw: SizeHW, head: str) -> dict[str, Any]:
    """Settings that transformers builds a model from; `head` ends the name of its class."""
    square = image_hw[0] == image_hw[1]
    values: dict[str, Any] = {
        "architectures": [("Swin" if config.version == 1 else "Swinv2") + head],
        "model_type": "swin" if config.version == 1 else "swinv2",
        "image_size": image_hw[0] if square else list(image_hw),
        "patch_size": config.patch_size,
        "num_channels": config.in_channels,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "num_layers": config.num_stages,
        "hidden_size": config.channels[-1],
        "window_size": max(height for height, _ in config.windows),
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "drop_path_rate": config.drop_path_rate,
        "use_absolute_embeddings": config.absolute_position_hw is not None,
        "layer_norm_eps": 1e-5,
        "encoder_stride": config.strides[-1],
    }
    if config.version == 2:
        values["pretrained_window_sizes"] = [height for height, _ in config.pretrained_windows]
    if head == "Backbone":
        values["out_features"] = [f"stage{stage + 1}" for stage in config.norm_stages]
        values["out_indices"] = [stage + 1 for stage in config.norm_stages]
    return values


def upernet_config(config: "SegmenterConfig", image_hw: SizeHW) -> dict[str, Any]:
    """Settings of UperNetForSemanticSegmentation on a Swin backbone."""
    return {
        "architectures": ["UperNetForSemanticSegmentation"],
        "model_type": "upernet",
        "backbone_config": model_config(config.backbone, image_hw, "Backbone"),
        "hidden_size": config.channels,
        "pool_scales": list(config.pool_scales),
        "use_auxiliary_head": config.auxiliary_stage is not None,
        "auxiliary_loss_weight": 0.4,
        "auxiliary_in_channels": config.backbone.channels[config.auxiliary_stage or 0],
        "auxiliary_channels": config.auxiliary_channels,
        "auxiliary_num_convs": config.auxiliary_convs,
        "auxiliary_concat_input": False,
        "loss_ignore_index": 255,
    }


def processor_config(prepare: Preprocessing | Fit) -> dict[str, Any]:
    """Settings of the image processor nearest to swinkit's preprocessing.

    The one for segmenters squashes to a square.
    """
    if isinstance(prepare, Fit):
        side = prepare.short_side or prepare.long_side or 512
        kind, size, interpolation = "Segformer", {"height": side, "width": side}, "bilinear"
        more: dict[str, Any] = {"do_reduce_labels": False}
    else:
        (height, width), interpolation = prepare.size_hw, prepare.interpolation
        kind, size, more = "ViT", {"height": height, "width": width}, {}
        if prepare.resize == "crop" and height == width:
            kind, size = "ConvNext", {"shortest_edge": height}
            more = {"crop_pct": prepare.crop_fraction}
    return {
        "image_processor_type": f"{kind}ImageProcessor",
        "do_resize": True,
        "size": size,
        "resample": _FILTERS.index(interpolation),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(prepare.mean),
        "image_std": list(prepare.std),
        **more,
    }
