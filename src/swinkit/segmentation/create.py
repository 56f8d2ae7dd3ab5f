"""Segmenters by name, with fresh weights; `swinkit.load` gives trained ones."""

from collections.abc import Sequence
from dataclasses import replace

from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import PAPER_FIT, SwinSegmenter
from swinkit.segmentation.variants import SEGMENTERS
from swinkit.task.info import ModelInfo
from swinkit.windows.kernels.choice import Kernel


def find_segmenter(name: str) -> SegmenterConfig:
    """The configuration of that name.

    Raises:
        ConfigError: no such segmenter; the message lists them.
    """
    if name not in SEGMENTERS:
        raise ConfigError(f"no segmenter named {name!r}; choose one of {', '.join(SEGMENTERS)}")
    return SEGMENTERS[name]


def create_segmenter(
    name: str,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    fit: Fit | None = None,
) -> SwinSegmenter:
    """A segmenter with fresh weights.

    Args:
        name: key of `swinkit.segmentation.variants.SEGMENTERS`, such as "upernet_swin_t".
        num_classes: by default as many as class names, else 150 (ADE20K).
        class_names: one per class.
        in_channels: bands of the image.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; by default the variant's.
        attention: "auto", "sdpa" or "reference"; None keeps the variant's.
        gradient_checkpointing: save memory in training.
        fit: how `predict` prepares an image; by default short side 512, long side at most 2048.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.
    """
    config = find_segmenter(name)
    backbone = config.backbone.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    if num_classes is None:
        num_classes = config.num_classes if class_names is None else len(class_names)
    fit = fit or PAPER_FIT
    info = ModelInfo(
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=fit.for_channels(in_channels),
    )
    return SwinSegmenter(replace(config, backbone=backbone, num_classes=num_classes), info=info)
