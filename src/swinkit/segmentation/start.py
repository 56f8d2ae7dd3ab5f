"""From settings to a segmenter with its starting weights."""

from dataclasses import replace

import torch

from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.create import find_segmenter
from swinkit.segmentation.model import PAPER_FIT, SwinSegmenter
from swinkit.segmentation.variants import SEGMENTERS
from swinkit.task.info import ModelInfo
from swinkit.task.train_config import ModelConfig, TrainConfig
from swinkit.training.starting_weights import adapt_backbone, adapt_fit, load_whole, start


def build_segmenter(config: TrainConfig, class_names: tuple[str, ...]) -> SwinSegmenter:
    """The network with its starting weights, which depend on the seed alone; stages frozen.

    Raises:
        ConfigError: no such model, or settings that contradict each other.
        CheckpointError: starting weights that cannot be used.
    """
    torch.manual_seed(config.runtime.seed)
    wanted = config.model
    whole = None if wanted.weights is None else load_whole(wanted, SwinSegmenter)
    if whole is not None:
        architecture, info, fit = whole.config, whole.info, whole.preprocessing
    else:
        architecture, fit = _architecture(wanted)
        info = ModelInfo(preprocessing=fit)
    backbone = adapt_backbone(architecture.backbone, config)
    architecture = replace(architecture, backbone=backbone, num_classes=len(class_names))
    fit = adapt_fit(fit, config)
    model = SwinSegmenter(
        architecture, info=replace(info, class_names=class_names, preprocessing=fit)
    )
    start(model, whole, config)
    return model


def _architecture(wanted: ModelConfig) -> tuple[SegmenterConfig, Fit]:
    """Of a segmenter's name, or of a backbone's: then the UPerNet on it."""
    name = wanted.name
    if name not in SEGMENTERS and f"upernet_{name}" in SEGMENTERS:
        name = f"upernet_{name}"
    return wanted.segmenter or find_segmenter(name), PAPER_FIT
