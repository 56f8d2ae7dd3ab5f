"""Small models of the packages that swinkit reads and writes, with strong random weights."""

from functools import partial
from typing import Any

import torch
from torch import nn

DEPTHS, HEADS, DIM, CLASSES = (2, 2, 2, 2), (1, 2, 4, 8), 16, 11


def strengthen(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter a value that shows: no zero bias, no unit norm, no flat table."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("logit_scale"):
                value.copy_(1.5 + 0.3 * noise)
            elif "norm" in name and name.endswith("weight"):
                value.copy_(1 + 0.3 * noise)
            elif value.dim() < 2 or "table" in name or "position" in name:
                value.copy_(0.3 * noise)
            else:
                value.copy_(noise * value[0].numel() ** -0.5)
    return model.eval()


def timm_v1(size: int = 112, window: Any = 7, **settings: Any) -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return strengthen(
        SwinTransformer(
            img_size=size,
            window_size=window,
            embed_dim=DIM,
            depths=DEPTHS,
            num_heads=HEADS,
            **{"num_classes": CLASSES, **settings},
        )
    )


def timm_v2(size: int = 128, window: int = 8, **settings: Any) -> nn.Module:
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    return strengthen(
        SwinTransformerV2(
            img_size=size,
            window_size=window,
            embed_dim=DIM,
            depths=DEPTHS,
            num_heads=HEADS,
            **{"num_classes": CLASSES, **settings},
        )
    )


def torchvision_swin(version: int, window: tuple[int, int] = (7, 7)) -> nn.Module:
    from torchvision.models import swin_transformer as tv

    extra: dict[str, Any] = {}
    if version == 2:
        extra = {"block": tv.SwinTransformerBlockV2, "downsample_layer": tv.PatchMergingV2}
    return strengthen(
        tv.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=DIM,
            depths=list(DEPTHS),
            num_heads=list(HEADS),
            window_size=list(window),
            num_classes=CLASSES,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
            **extra,
        )
    )


def huggingface_config(version: int, **settings: Any) -> Any:
    from transformers import SwinConfig, Swinv2Config

    kind = SwinConfig if version == 1 else Swinv2Config
    values = {
        "image_size": 224 if version == 1 else 128,
        "window_size": 7 if version == 1 else 8,
        "embed_dim": DIM,
        "depths": list(DEPTHS),
        "num_heads": list(HEADS),
        "num_labels": CLASSES,
    }
    return kind(**{**values, **settings})


def huggingface(version: int, head: str = "ForImageClassification", **settings: Any) -> nn.Module:
    import transformers

    family = "Swin" if version == 1 else "Swinv2"
    kind = getattr(transformers, family + head)
    return strengthen(kind(huggingface_config(version, **settings)))


def deviation(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference in units of the reference's standard deviation."""
    return float((ours - theirs).abs().max() / theirs.std())
