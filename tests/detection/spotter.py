"""A detector with known answers: it finds pure red and pure green rectangles."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.config import OutputConfig
from swinkit.detection.model import SwinDetector
from swinkit.images.fitting import Fit
from swinkit.task.model import ModelInfo

NAMES = ("red", "green")


class Spotter(SwinDetector):
    """Boxes around connected pixels of one color; a larger one scores higher."""

    def __init__(self, fit: Fit, *, masks: bool = True) -> None:
        nn.Module.__init__(self)
        self.num_classes = len(NAMES)
        self.weight = nn.Parameter(torch.zeros(1))
        self.info = ModelInfo(class_names=NAMES, preprocessing=fit)
        self.masks = masks
        self.config = SimpleNamespace(
            kind="spotter",
            backbone=SimpleNamespace(in_channels=3),
            has_masks=masks,
            output=OutputConfig(score_threshold=0.0),
        )
        self.batches: list[tuple[int, ...]] = []

    def candidates(self, *_: Any) -> list[RawDetections]:
        raise AssertionError("a spotter answers in `forward`, and does not learn")

    def batch_losses(self, *_: Any) -> dict[str, Tensor]:
        raise AssertionError("a spotter answers in `forward`, and does not learn")

    def forward(
        self, images: Tensor, sizes_hw: list[tuple[int, int]], output: OutputConfig
    ) -> list[RawDetections]:
        self.batches.append(tuple(images.shape))
        return [
            self._find(image[:, :height, :width].numpy(), output)
            for image, (height, width) in zip(images, sizes_hw, strict=True)
        ]

    def _find(self, values: np.ndarray, output: OutputConfig) -> RawDetections:
        pixels = self.preprocessing.restore(values)
        boxes, scores, labels = [], [], []
        for label, channel in enumerate((0, 1)):
            rest = [c for c in range(3) if c != channel]
            pure = (pixels[..., channel] > 200) & (pixels[..., rest] < 50).all(axis=-1)
            regions, _ = ndimage.label(pure, structure=np.ones((3, 3)))
            for rows, columns in ndimage.find_objects(regions):
                boxes.append((columns.start, rows.start, columns.stop, rows.stop))
                area = (columns.stop - columns.start) * (rows.stop - rows.start)
                scores.append(0.5 + 0.5 * min(area / 1e5, 1))
                labels.append(label)
        best = sorted(range(len(scores)), key=lambda row: -scores[row])[: output.max_per_image]
        best = [row for row in best if scores[row] > output.score_threshold]
        return RawDetections(
            boxes_xyxy=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)[best],
            scores=torch.tensor(scores)[best],
            labels=torch.tensor(labels, dtype=torch.int64)[best],
            mask_probabilities=torch.ones(len(best), 28, 28) if self.masks else None,
        )


def paint(size_hw: tuple[int, int], boxes: list[tuple[int, ...]]) -> np.ndarray:
    """An image with rectangles (label, left, top, right, bottom) on gray."""
    image = np.full((*size_hw, 3), 90, np.uint8)
    for label, left, top, right, bottom in boxes:
        image[top:bottom, left:right] = (255, 0, 0) if label == 0 else (0, 255, 0)
    return image
