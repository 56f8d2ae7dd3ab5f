"""Detections from several views of an image: other scales, and mirrored.

The boxes of all views are brought to the pixels of the image and suppressed together, before any
view has decided on its own; masks are the mean of what each view says about the boxes that are
left. This is the multi-scale testing of the published results (mmdet's `aug_test`, with the boxes
of all views in one suppression).

Legend: R candidates, N detections of an image, K classes, s side of a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.boxes.suppression import multiclass_nms, suppress
from swinkit.detection.config import OutputConfig, Suppression
from swinkit.detection.network.roi_heads import RoIStages
from swinkit.images.fitting import Fit, Fitted
from swinkit.task.views import TestAugmentation

if TYPE_CHECKING:
    from swinkit.detection.model import SwinDetector

KEEP_ALL = Suppression(iou=1.0)
NO_LIMIT = 1_000_000


@dataclass(frozen=True, eq=False)
class _View:
    """One look at the image, and how boxes go between its pixels and the image's."""

    fitted: Fitted
    flipped: bool

    def images(self, like: Tensor) -> Tensor:
        return torch.from_numpy(self.fitted.values)[None].to(like.device, like.dtype)

    def to_image(self, boxes: Tensor) -> Tensor:
        """(R, 4 or 4 K) from this view's pixels to the image's."""
        return self._mirrored(boxes) / self._scale(boxes)

    def from_image(self, boxes: Tensor) -> Tensor:
        """(N, 4) from the image's pixels to this view's."""
        return self._mirrored(boxes * self._scale(boxes))

    def _scale(self, boxes: Tensor) -> Tensor:
        return boxes.new_tensor(self.fitted.scale_wh * 2).repeat(boxes.shape[1] // 4)

    def _mirrored(self, boxes: Tensor) -> Tensor:
        if not self.flipped:
            return boxes
        left, top, right, bottom = boxes.unflatten(1, (-1, 4)).unbind(-1)
        width = self.fitted.size_hw[1]
        return torch.stack((width - right, top, width - left, bottom), dim=-1).flatten(1)


def detect_augmented(
    model: "SwinDetector",
    pixels: np.ndarray,
    fit: Fit,
    augmentation: TestAugmentation,
    output: OutputConfig,
) -> RawDetections:
    """Detections of one image (H, W, C) from all its views, in the pixels of the image itself."""
    like = next(model.parameters())
    views = [
        _View(fitted, flipped)
        for fitting in augmentation.fits(fit)
        for fitted, flipped in _looks(pixels, fitting, augmentation.flip)
    ]
    if model.config.roi is None:
        return _at_once(model, views, output, like)
    stages: list[tuple[RoIStages, list[Tensor]]] = []
    boxes, scores = [], []
    for view in views:
        maps = model.pyramid(view.images(like))
        heads = model.roi_stages(None if model.semantic is None else model.semantic(maps)[1])
        sizes = [view.fitted.size_hw]
        (own_boxes,), (own_scores,) = heads.classify(maps, model.propose(maps, sizes), sizes)
        boxes.append(view.to_image(own_boxes.float()))
        scores.append(own_scores.float())
        stages.append((heads, maps))
    found, best, labels, _ = multiclass_nms(
        torch.cat(boxes),
        torch.cat(scores),
        score_threshold=output.score_threshold,
        suppression=output.suppression,
        max_per_image=output.max_per_image,
    )
    masks = _mean_masks(views, stages, found, labels) if model.config.has_masks else None
    return RawDetections(boxes_xyxy=found, scores=best, labels=labels, mask_probabilities=masks)


def _looks(pixels: np.ndarray, fit: Fit, flip: bool) -> list[tuple[Fitted, bool]]:
    fitted = fit(pixels)
    if not flip:
        return [(fitted, False)]
    # Mirrored without the padding, which stays right and below.
    width = fitted.size_hw[1]
    values = fitted.values.copy()
    values[:, :, :width] = values[:, :, :width][:, :, ::-1]
    return [(fitted, False), (replace(fitted, values=values), True)]


def _at_once(
    model: "SwinDetector", views: Sequence[_View], output: OutputConfig, like: Tensor
) -> RawDetections:
    """RetinaNet: every anchor's box is a candidate."""
    every = replace(output, suppression=KEEP_ALL, max_per_image=NO_LIMIT)
    boxes, scores, labels = [], [], []
    for view in views:
        (raw,) = model(view.images(like), [view.fitted.size_hw], every)
        boxes.append(view.to_image(raw.boxes_xyxy))
        scores.append(raw.scores)
        labels.append(raw.labels)
    places, classes = torch.cat(boxes), torch.cat(labels)
    best, kept = suppress(
        places, torch.cat(scores), classes, output.suppression, output.max_per_image
    )
    return RawDetections(boxes_xyxy=places[kept], scores=best, labels=classes[kept])


def _mean_masks(
    views: Sequence[_View],
    stages: Sequence[tuple[RoIStages, list[Tensor]]],
    boxes: Tensor,
    labels: Tensor,
) -> Tensor:
    """(N, s, s): the mean over views of each detection's mask, mirrored back."""
    total: Tensor | None = None
    for view, (heads, maps) in zip(views, stages, strict=True):
        (own,) = heads.masks(maps, [view.from_image(boxes)], [labels])
        own = own.float().flip(-1) if view.flipped else own.float()
        total = own if total is None else total + own
    assert total is not None
    return total / len(views)
