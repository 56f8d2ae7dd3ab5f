"""swinkit: the Swin Transformer as a whole system.

Names are imported on first use, so that `swinkit --help` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swinkit.backbones.config import SwinConfig
    from swinkit.backbones.swin import SwinBackbone
    from swinkit.boxes.suppression_config import Suppression
    from swinkit.checkpoints.convert import convert
    from swinkit.checkpoints.load import load
    from swinkit.checkpoints.native import save
    from swinkit.errors import SwinkitError
    from swinkit.evaluation.classification import evaluate
    from swinkit.images.fitting import Fit
    from swinkit.images.preprocessing import Preprocessing
    from swinkit.models.classifier import SwinClassifier
    from swinkit.models.create import create_backbone, create_model
    from swinkit.models.detector import SwinDetector
    from swinkit.models.detectors import create_detector
    from swinkit.models.segmenter import SwinSegmenter
    from swinkit.models.segmenters import create_segmenter
    from swinkit.models.test_augmentation import TestAugmentation
    from swinkit.results.classification import Classification
    from swinkit.results.detections import Detections, InstanceMasks
    from swinkit.results.semantic_map import SemanticMap
    from swinkit.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "Classification": "swinkit.results.classification",
    "Detections": "swinkit.results.detections",
    "Fit": "swinkit.images.fitting",
    "InstanceMasks": "swinkit.results.detections",
    "Preprocessing": "swinkit.images.preprocessing",
    "SemanticMap": "swinkit.results.semantic_map",
    "Suppression": "swinkit.boxes.suppression_config",
    "SwinBackbone": "swinkit.backbones.swin",
    "SwinClassifier": "swinkit.models.classifier",
    "SwinConfig": "swinkit.backbones.config",
    "SwinDetector": "swinkit.models.detector",
    "SwinSegmenter": "swinkit.models.segmenter",
    "SwinkitError": "swinkit.errors",
    "TestAugmentation": "swinkit.models.test_augmentation",
    "convert": "swinkit.checkpoints.convert",
    "create_backbone": "swinkit.models.create",
    "create_detector": "swinkit.models.detectors",
    "create_model": "swinkit.models.create",
    "create_segmenter": "swinkit.models.segmenters",
    "evaluate": "swinkit.evaluation.classification",
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
