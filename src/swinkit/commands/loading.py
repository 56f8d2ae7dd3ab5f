"""What the commands that run a trained model share."""

import sys
from typing import TYPE_CHECKING, Literal

from swinkit.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from swinkit.checkpoints.report import LoadReport
    from swinkit.models.classifier import SwinClassifier

Device = Literal["auto", "cpu", "cuda"]


def load_classifier(weights: str, image_size: int | None, device: Device) -> "SwinClassifier":
    """A classifier on its device; whatever the file does not prove is said on stderr.

    Raises:
        CheckpointError: unreadable, or no classifier in it.
        ConfigError: no GPU where one is asked for.
    """
    import torch

    from swinkit.checkpoints.load import load
    from swinkit.models.classifier import SwinClassifier

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no GPU here; use --device cpu")
    model = load(weights, image_size=image_size, report=_report_doubts)
    if not isinstance(model, SwinClassifier):
        raise CheckpointError(
            f"{weights} holds a backbone without a classifier; name weights of a classifier"
        )
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return model.to("cuda" if gpu else "cpu").eval()


def _report_doubts(report: "LoadReport") -> None:
    if report.unexplained or report.changed:
        print(report, file=sys.stderr)
