"""What the commands that run a trained model share."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from swinkit.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from swinkit.checkpoints.report import LoadReport
    from swinkit.classification.model import SwinClassifier
    from swinkit.detection.model import SwinDetector
    from swinkit.segmentation.model import SwinSegmenter

Device = Literal["auto", "cpu", "cuda"]
ImageSize = int | Literal["original"] | None
TaskModel: TypeAlias = Union["SwinClassifier", "SwinDetector", "SwinSegmenter"]


def load_model(weights: str, image_size: ImageSize, device: Device) -> TaskModel:
    """A classifier, detector or segmenter on its device, whatever the file holds.

    What the file does not prove is said on stderr.

    Args:
        image_size: side of a classifier's images, short side of the others'; "original" leaves
            these in their own size; None takes the model's.

    Raises:
        CheckpointError: unreadable, or a backbone alone.
        ConfigError: no GPU where one is asked for, or a classifier for images as they are.
    """
    import torch

    from swinkit.backbones.swin import SwinBackbone
    from swinkit.checkpoints.load import load
    from swinkit.classification.model import SwinClassifier

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no GPU here; use --device cpu")
    side = None if image_size == "original" else image_size
    model = load(weights, image_size=side, report=_report_doubts)
    if isinstance(model, SwinBackbone):
        raise CheckpointError(
            f"{weights} holds a backbone without a classifier or other head; name weights of a "
            "whole model"
        )
    if not isinstance(model, SwinClassifier) and image_size is not None:
        fit = model.info.any_size.of_size(image_size)
        model.info = replace(model.info, preprocessing=fit)
    elif image_size == "original":
        raise ConfigError(
            f"{weights} holds a classifier, which needs images of one size; give --image-size "
            "pixels, or leave it out"
        )
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return model.to("cuda" if gpu else "cpu").eval()


def _report_doubts(report: "LoadReport") -> None:
    if report.unexplained or report.changed:
        print(report, file=sys.stderr)
