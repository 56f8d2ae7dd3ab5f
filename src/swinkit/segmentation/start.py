"""From settings to a segmenter with its starting weights."""

from dataclasses import replace

from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.train_config import SegmentationTrainConfig
from swinkit.segmentation.variants import PAPER_FIT, SEGMENTERS, find_segmenter
from swinkit.task.info import ModelInfo
from swinkit.task.starting_weights import (
    adapt_backbone,
    adapt_preprocessing,
    load_whole,
    start_from,
)
from swinkit.task.training import LoadWeights


def build_segmenter(
    config: SegmentationTrainConfig, class_names: tuple[str, ...], load: LoadWeights
) -> SwinSegmenter:
    """The network with its starting weights, without the facts of the run.

    Raises:
        ConfigError: no such model, or settings that contradict each other.
        CheckpointError: starting weights that cannot be used.
    """
    whole = load_whole(config.model, SwinSegmenter, load)
    if whole is not None:
        architecture, info, fit = whole.config, whole.info, whole.preprocessing
    else:
        architecture, fit = _architecture(config)
        info = ModelInfo(preprocessing=fit)
    backbone = adapt_backbone(architecture.backbone, config)
    architecture = replace(architecture, backbone=backbone, num_classes=len(class_names))
    fit = adapt_preprocessing(fit, config)
    model = SwinSegmenter(
        architecture, info=replace(info, class_names=class_names, preprocessing=fit)
    )
    start_from(model, whole, architecture.backbone, config.model, load)
    return model


def _architecture(config: SegmentationTrainConfig) -> tuple[SegmenterConfig, Fit]:
    """Of a segmenter's name, or of a backbone's: then the UPerNet on it."""
    name = config.model.name
    if name not in SEGMENTERS and f"upernet_{name}" in SEGMENTERS:
        name = f"upernet_{name}"
    return config.architecture or find_segmenter(name), PAPER_FIT
