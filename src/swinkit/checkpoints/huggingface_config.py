"""config.json and preprocessor_config.json of transformers' Swin, Swinv2 and UperNet models."""

from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.segmentation.config import SegmenterConfig
from swinkit.settings import SizeHW

_RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def model_config(
    config: SwinConfig,
    image_hw: SizeHW,
    *,
    head: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
) -> dict[str, Any]:
    """Settings that transformers builds the model from.

    Args:
        head: "ForImageClassification", "Model" or "Backbone".
    """
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
        values["pretrained_window_sizes"] = [h for h, _ in config.pretrained_windows]
    if head == "Backbone":
        values["out_features"] = [f"stage{stage + 1}" for stage in config.norm_stages]
        values["out_indices"] = [stage + 1 for stage in config.norm_stages]
    if num_classes is not None:
        values |= _labels(class_names or tuple(f"LABEL_{i}" for i in range(num_classes)))
    return values


def upernet_config(
    config: SegmenterConfig, image_hw: SizeHW, *, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Settings of UperNetForSemanticSegmentation on a Swin backbone."""
    auxiliary = config.auxiliary_stage is not None
    stage = config.auxiliary_stage or 0
    return {
        "architectures": ["UperNetForSemanticSegmentation"],
        "model_type": "upernet",
        "backbone_config": model_config(
            config.backbone, image_hw, head="Backbone", num_classes=None, class_names=None
        ),
        "hidden_size": config.channels,
        "pool_scales": list(config.pool_scales),
        "use_auxiliary_head": auxiliary,
        "auxiliary_loss_weight": 0.4,
        "auxiliary_in_channels": config.backbone.channels[stage],
        "auxiliary_channels": config.auxiliary_channels,
        "auxiliary_num_convs": config.auxiliary_convs,
        "auxiliary_concat_input": False,
        "loss_ignore_index": 255,
        **_labels(class_names),
    }


def _labels(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


def segmenter_processor_config(fit: Fit) -> dict[str, Any]:
    """Settings of the image processor nearest to `Fit`; transformers' squashes to a square."""
    side = fit.short_side or fit.long_side or 512
    return {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": _RESAMPLE["bilinear"],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(fit.mean),
        "image_std": list(fit.std),
        "do_reduce_labels": False,
    }


def processor_config(preprocessing: Preprocessing) -> dict[str, Any]:
    """Settings of the image processor nearest to swinkit's preprocessing."""
    height, width = preprocessing.size_hw
    values: dict[str, Any] = {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
        "resample": _RESAMPLE[preprocessing.interpolation],
    }
    if preprocessing.resize == "crop" and height == width:
        values |= {
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": height},
            "crop_pct": preprocessing.crop_fraction,
        }
    else:
        values |= {
            "image_processor_type": "ViTImageProcessor",
            "size": {"height": height, "width": width},
        }
    return values
