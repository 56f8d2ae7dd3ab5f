"""Detectors with decoding and suppression as one graph, and such a graph in an engine.

Legend: B batch, C channels, H W image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.config import DetectorConfig, OutputConfig
from swinkit.detection.network.base import DetectionNetwork
from swinkit.errors import ConfigError
from swinkit.settings import SizeHW
from swinkit.task.weights import Engine


class DetectionGraph(nn.Module):
    """Images and their sizes in, detections of the whole batch out; what a file holds."""

    def __init__(self, model: DetectionNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes_hw: Tensor) -> tuple[Tensor, ...]:
        return self.model.detect_in_batch(images, sizes_hw)

    @staticmethod
    def outputs(model: DetectionNetwork) -> tuple[str, ...]:
        """Names of what it gives."""
        found = ("boxes", "scores", "labels", "image")
        return (*found, "masks") if model.config.has_masks else found


class ExportedDetector:
    """Takes and gives what a `DetectionNetwork` does.

    Args:
        engine: gives boxes, scores, labels, numbers of images and, if there are any, masks.
        config: of the network in it.
    """

    def __init__(self, engine: Engine, config: DetectorConfig) -> None:
        self.engine = engine
        self.config = config

    def __call__(
        self,
        images: Tensor,
        sizes_hw: Sequence[SizeHW] | None = None,
        output: OutputConfig | None = None,
    ) -> list[RawDetections]:
        """Detections of each image, best first.

        Raises:
            ConfigError: an output that holds more than what the file gives, or is suppressed in
                another way.
        """
        output = output or self.config.output
        self._check(output)
        if sizes_hw is None:
            sizes_hw = [(images.shape[2], images.shape[3])] * images.shape[0]
        found = self.engine(images, torch.tensor(sizes_hw, dtype=torch.int64))
        boxes, scores, labels, image = found[:4]
        together = RawDetections(
            boxes_xyxy=boxes,
            scores=scores,
            labels=labels.long(),
            mask_probabilities=found[4] if self.config.has_masks else None,
        )
        parts = []
        for number in range(images.shape[0]):
            rows = ((image == number) & (scores > output.score_threshold)).nonzero().flatten()
            parts.append(together.select(rows[: output.max_per_image]))
        return parts

    def _check(self, output: OutputConfig) -> None:
        own, where = self.config.output, f"{self.engine.origin} holds the suppression of boxes: "
        if output.score_threshold < own.score_threshold:
            raise ConfigError(
                f"{where}it gives scores above {own.score_threshold:g}, not "
                f"{output.score_threshold:g}; ask for a higher score, or take the weights"
            )
        if output.max_per_image > own.max_per_image:
            raise ConfigError(
                f"{where}it gives {own.max_per_image} objects of an image at most, not "
                f"{output.max_per_image}; ask for fewer, or take the weights"
            )
        if output.suppression != own.suppression:
            raise ConfigError(f"{where}no other can be asked for; take the weights")
