"""swinkit: the Swin Transformer as a whole system.

Names are imported on first use, so that `swinkit --help` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swinkit.backbones.config import SwinConfig
    from swinkit.backbones.swin import SwinBackbone
    from swinkit.checkpoints.convert import convert
    from swinkit.checkpoints.load import load
    from swinkit.checkpoints.native import save
    from swinkit.classification.create import create_backbone, create_model
    from swinkit.classification.evaluate import evaluate
    from swinkit.classification.model import SwinClassifier
    from swinkit.classification.result import Classification
    from swinkit.detection.boxes.suppression_config import Suppression
    from swinkit.detection.create import create_detector
    from swinkit.detection.model import SwinDetector
    from swinkit.detection.result import Detections, InstanceMasks
    from swinkit.errors import SwinkitError
    from swinkit.images.fitting import Fit
    from swinkit.images.preprocessing import Preprocessing
    from swinkit.segmentation.create import create_segmenter
    from swinkit.segmentation.model import SwinSegmenter
    from swinkit.segmentation.result import SemanticMap
    from swinkit.task.views import TestAugmentation
    from swinkit.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "Classification": "swinkit.classification.result",
    "Detections": "swinkit.detection.result",
    "Fit": "swinkit.images.fitting",
    "InstanceMasks": "swinkit.detection.result",
    "Preprocessing": "swinkit.images.preprocessing",
    "SemanticMap": "swinkit.segmentation.result",
    "Suppression": "swinkit.detection.boxes.suppression_config",
    "SwinBackbone": "swinkit.backbones.swin",
    "SwinClassifier": "swinkit.classification.model",
    "SwinConfig": "swinkit.backbones.config",
    "SwinDetector": "swinkit.detection.model",
    "SwinSegmenter": "swinkit.segmentation.model",
    "SwinkitError": "swinkit.errors",
    "TestAugmentation": "swinkit.task.views",
    "convert": "swinkit.checkpoints.convert",
    "create_backbone": "swinkit.classification.create",
    "create_detector": "swinkit.detection.create",
    "create_model": "swinkit.classification.create",
    "create_segmenter": "swinkit.segmentation.create",
    "evaluate": "swinkit.classification.evaluate",
    "load": "swinkit.checkpoints.load",
    "save": "swinkit.checkpoints.native",
    "train": "swinkit.training.train",
}

__all__ = [
    "Classification",
    "Detections",
    "Fit",
    "InstanceMasks",
    "Preprocessing",
    "SemanticMap",
    "Suppression",
    "SwinBackbone",
    "SwinClassifier",
    "SwinConfig",
    "SwinDetector",
    "SwinSegmenter",
    "SwinkitError",
    "TestAugmentation",
    "convert",
    "create_backbone",
    "create_detector",
    "create_model",
    "create_segmenter",
    "evaluate",
    "load",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'swinkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
