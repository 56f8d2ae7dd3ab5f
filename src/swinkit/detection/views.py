"""Detections from several views of an image: other scales, and mirrored.

The candidates of all views are brought to the pixels of the image and suppressed together, before
any view has decided on its own; masks are the mean of what each view gives for the boxes that are
left. This is the multi-scale testing of the published results (mmdet's `aug_test`, with the boxes
of all views in one suppression).

Legend: C channels, H W pixels, N detections of an image, s side of a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.boxes.suppression import best_detections
from swinkit.detection.config import OutputConfig
from swinkit.detection.network.base import DetectionNetwork, Features
from swinkit.images.fitting import Fit, FittedImage
from swinkit.task.views import TestAugmentation


@dataclass(frozen=True, eq=False)
class View:
    """One view of an image, and how boxes go between its pixels and the image's."""

    fitted: FittedImage
    mirrored: bool

    def batch(self, like: Tensor) -> Tensor:
        """`1 C H W` on the device and of the type of `like`."""
        return torch.from_numpy(self.fitted.values)[None].to(like)

    def to_image(self, boxes: Tensor) -> Tensor:
        """(N, 4) from this view's pixels to the image's."""
        return self._mirror(boxes) / self._scale(boxes)

    def from_image(self, boxes: Tensor) -> Tensor:
        """(N, 4) from the image's pixels to this view's."""
        return self._mirror(boxes * self._scale(boxes))

    def _scale(self, boxes: Tensor) -> Tensor:
        return boxes.new_tensor(self.fitted.scale_wh * 2)

    def _mirror(self, boxes: Tensor) -> Tensor:
        if not self.mirrored:
            return boxes
        left, top, right, bottom = boxes.unbind(1)
        width = self.fitted.size_hw[1]
        return torch.stack((width - right, top, width - left, bottom), dim=1)


def make_views(pixels: np.ndarray, fit: Fit, augmentation: TestAugmentation) -> list[View]:
    """The views of an image (H, W, C) that the model itself takes as `fit` prepares it."""
    views = []
    for size_hw in augmentation.sizes(fit, (pixels.shape[0], pixels.shape[1])):
        fitted = fit(pixels, size_hw=size_hw)
        views.append(View(fitted, mirrored=False))
        if augmentation.flip:
            # Mirrored without the padding, which stays right and below.
            width = fitted.size_hw[1]
            values = fitted.values.copy()
            values[:, :, :width] = values[:, :, :width][:, :, ::-1]
            views.append(View(replace(fitted, values=values), mirrored=True))
    return views


def detect_views(
    network: DetectionNetwork, views: Sequence[View], output: OutputConfig
) -> RawDetections:
    """Detections of one image from all its views, in the pixels of the image itself."""
    like = next(network.parameters())
    seen: list[Features] = []
    parts: list[RawDetections] = []
    for view in views:
        features = network.feature_maps(view.batch(like))
        (own,) = network.candidates(features, [view.fitted.size_hw], output.score_threshold)
        parts.append(replace(own, boxes_xyxy=view.to_image(own.boxes_xyxy)))
        seen.append(features)
    together = RawDetections(
        boxes_xyxy=torch.cat([part.boxes_xyxy for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
    )
    found = best_detections(together, output)
    if not network.config.has_masks:
        return found
    return replace(found, mask_probabilities=_mean_masks(network, views, seen, found))


def _mean_masks(
    network: DetectionNetwork,
    views: Sequence[View],
    seen: Sequence[Features],
    found: RawDetections,
) -> Tensor:
    """(N, s, s): the mean over views of each detection's mask, mirrored back."""
    masks = []
    for view, features in zip(views, seen, strict=True):
        (own,) = network.masks(features, [view.from_image(found.boxes_xyxy)], [found.labels])
        masks.append(own.float().flip(-1) if view.mirrored else own.float())
    return torch.stack(masks).mean(0)
