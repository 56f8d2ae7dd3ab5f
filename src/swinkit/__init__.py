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
    from swinkit.errors import SwinkitError
    from swinkit.evaluation.classification import evaluate
    from swinkit.images.preprocessing import Preprocessing
    from swinkit.models.classifier import SwinClassifier
    from swinkit.models.create import create_backbone, create_model
    from swinkit.results.classification import Classification
    from swinkit.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "Classification": "swinkit.results.classification",
    "Preprocessing": "swinkit.images.preprocessing",
    "SwinBackbone": "swinkit.backbones.swin",
    "SwinClassifier": "swinkit.models.classifier",
    "SwinConfig": "swinkit.backbones.config",
    "SwinkitError": "swinkit.errors",
    "convert": "swinkit.checkpoints.convert",
    "create_backbone": "swinkit.models.create",
    "create_model": "swinkit.models.create",
    "evaluate": "swinkit.evaluation.classification",
    "load": "swinkit.checkpoints.load",
    "save": "swinkit.checkpoints.native",
    "train": "swinkit.training.train",
}

__all__ = [
    "Classification",
    "Preprocessing",
    "SwinBackbone",
    "SwinClassifier",
    "SwinConfig",
    "SwinkitError",
    "convert",
    "create_backbone",
    "create_model",
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
