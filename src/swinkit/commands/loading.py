"""What the commands that run a trained model share."""

import sys
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from swinkit.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from swinkit.checkpoints.report import LoadReport
    from swinkit.models.classifier import SwinClassifier
    from swinkit.models.detector import SwinDetector
    from swinkit.models.segmenter import SwinSegmenter

Device = Literal["auto", "cpu", "cuda"]
TaskModel: TypeAlias = Union["SwinClassifier", "SwinDetector", "SwinSegmenter"]


def load_model(weights: str, image_size: int | None, device: Device) -> TaskModel:
    """A classifier, detector or segmenter on its device, whatever the file holds.

    What the file does not prove is said on stderr.

    Raises:
        CheckpointError: unreadable, or a backbone alone.
        ConfigError: no GPU where one is asked for.
    """
    import torch

    from swinkit.backbones.swin import SwinBackbone
    from swinkit.checkpoints.load import load

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no GPU here; use --device cpu")
    model = load(weights, image_size=image_size, report=_report_doubts)
    if isinstance(model, SwinBackbone):
        raise CheckpointError(
            f"{weights} holds a backbone without a classifier or other head; name weights of a "
            "whole model"
        )
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return model.to("cuda" if gpu else "cpu").eval()


def load_classifier(weights: str, image_size: int | None, device: Device) -> "SwinClassifier":
    """A classifier on its device; see `load_model`.

    Raises:
        CheckpointError: also where the file holds another kind of model.
    """
    from swinkit.models.classifier import SwinClassifier

    model = load_model(weights, image_size, device)
    if not isinstance(model, SwinClassifier):
        raise CheckpointError(f"{weights} holds no classifier; name weights of one")
    return model


def _report_doubts(report: "LoadReport") -> None:
    if report.unexplained or report.changed:
        print(report, file=sys.stderr)
