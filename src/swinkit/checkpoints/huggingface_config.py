"""config.json and preprocessor_config.json of transformers' Swin and Swinv2 models."""

from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import SizeHW
from swinkit.images.preprocessing import Preprocessing

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
        names = class_names or tuple(f"LABEL_{i}" for i in range(num_classes))
        values["id2label"] = {str(i): name for i, name in enumerate(names)}
        values["label2id"] = {name: i for i, name in enumerate(names)}
    return values


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
