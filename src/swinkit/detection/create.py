"""Detectors by name, with fresh weights; `swinkit.load` gives trained ones."""

from collections.abc import Sequence
from dataclasses import replace

from swinkit.detection.config import DetectorConfig, RCNNConfig
from swinkit.detection.model import SwinDetector
from swinkit.detection.roi_config import Norm, SemanticConfig
from swinkit.detection.variants import DETECTORS, sides_of
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.settings import by_name
from swinkit.task.info import ModelInfo
from swinkit.windows.kernels import Kernel


def create_detector(
    name: str,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    norm: Norm | None = None,
    semantic: SemanticConfig | None = None,
    fit: Fit | None = None,
) -> SwinDetector:
    """A detector with fresh weights.

    Args:
        name: key of `swinkit.detection.variants.DETECTORS`, such as "mask_rcnn_swin_t".
        num_classes: by default as many as class names, else 80 (COCO).
        class_names: one per class.
        in_channels: bands of the image.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; by default the variant's.
        attention: "auto", "sdpa" or "reference"; None keeps the variant's.
        gradient_checkpointing: save memory in training.
        norm: of the convolutions of box heads, where they have any; by default the variant's
            ("sync_batch" in the cascades; "group" suits small batches).
        semantic: adds HTC's semantic branch.
        fit: how `predict` prepares an image; by default short side 800, long side at most 1333.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.

    Example:
        >>> import swinkit
        >>> model = swinkit.create_detector("mask_rcnn_swin_nano", class_names=("cat", "dog"))
        >>> model.num_classes
        2
    """
    config = by_name("detector", name, DETECTORS)
    backbone = config.backbone.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    if num_classes is None:
        num_classes = config.num_classes if class_names is None else len(class_names)
    config = replace(config, backbone=backbone, num_classes=num_classes)
    short_side, long_side = sides_of(name)
    fit = fit or Fit(short_side=short_side, long_side=long_side)
    info = ModelInfo(
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=fit.for_channels(in_channels),
    )
    return SwinDetector.from_config(_with_heads(config, norm, semantic), info=info)


def _with_heads(
    config: DetectorConfig, norm: Norm | None, semantic: SemanticConfig | None
) -> DetectorConfig:
    if norm is None and semantic is None:
        return config
    if not isinstance(config, RCNNConfig):
        raise ConfigError(f"{config.kind} has no RoI heads; leave norm and semantic out")
    box = config.roi.box if norm is None else replace(config.roi.box, norm=norm)
    roi = replace(config.roi, box=box, semantic=semantic or config.roi.semantic)
    return replace(config, roi=roi)
