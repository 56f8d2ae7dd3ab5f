"""From settings to a detector with its starting weights."""

import logging
from dataclasses import replace

from swinkit.detection.config import DetectorConfig, RCNNConfig, RCNNKind
from swinkit.detection.create import find_detector
from swinkit.detection.data.splits import DetectionSplits
from swinkit.detection.model import SwinDetector
from swinkit.detection.train_config import DetectionTrainConfig
from swinkit.detection.variants import DETECTORS, sides_of
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.task.info import ModelInfo
from swinkit.task.starting_weights import adapt_backbone, adapt_fit, load_whole, start_from
from swinkit.task.training import LoadWeights

logger = logging.getLogger(__name__)

BOXES_ALONE: dict[RCNNKind, RCNNKind] = {
    "mask_rcnn": "faster_rcnn",
    "cascade_mask_rcnn": "cascade_rcnn",
}


def build_detector(
    config: DetectionTrainConfig, splits: DetectionSplits, load: LoadWeights
) -> SwinDetector:
    """The network with its starting weights, without the facts of the run.

    A Mask R-CNN or its cascade becomes its kind without masks where the data has none.

    Raises:
        ConfigError: no such model, or one that needs what the data does not have.
        CheckpointError: starting weights that cannot be used.
    """
    whole = load_whole(config.model, SwinDetector, load)  # type: ignore[type-abstract]
    if whole is not None:
        architecture, info, fit = whole.config, whole.info, whole.preprocessing
    else:
        architecture, fit = _architecture(config)
        info = ModelInfo(preprocessing=fit)
    architecture = _for_data(architecture, splits, config)
    fit = adapt_fit(fit, config)
    info = replace(info, class_names=splits.class_names, preprocessing=fit)
    model = SwinDetector.from_config(architecture, info=info)
    start_from(model, whole, architecture.backbone, config.model, load)
    return model


def _architecture(config: DetectionTrainConfig) -> tuple[DetectorConfig, Fit]:
    """Of a detector's name, or of a backbone's: then the Mask R-CNN on it."""
    name = config.model.name
    if name not in DETECTORS and f"mask_rcnn_{name}" in DETECTORS:
        name = f"mask_rcnn_{name}"
    short_side, long_side = sides_of(name)
    fit = Fit(short_side=short_side, long_side=long_side)
    return config.architecture or find_detector(name), fit


def _for_data(
    architecture: DetectorConfig, splits: DetectionSplits, config: DetectionTrainConfig
) -> DetectorConfig:
    backbone = adapt_backbone(architecture.backbone, config)
    made = replace(architecture, backbone=backbone, num_classes=len(splits.class_names))
    if splits.has_masks or not made.has_masks:
        return made
    if not isinstance(made, RCNNConfig) or made.kind not in BOXES_ALONE:
        raise ConfigError(
            f"{config.data.path} has boxes but no masks, which {made.kind} learns from; choose a "
            "cascade_mask_rcnn, mask_rcnn, faster_rcnn or retinanet model"
        )
    kind = BOXES_ALONE[made.kind]
    logger.info("the data has boxes but no masks: training %s in place of %s", kind, made.kind)
    return replace(made, kind=kind, roi=replace(made.roi, mask=None))
