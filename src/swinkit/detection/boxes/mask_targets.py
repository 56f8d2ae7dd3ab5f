"""The true masks of sampled boxes, at the size that a mask head gives.

Legend: G ground-truth objects, P sampled boxes, H W image, s side of a mask.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align


def mask_targets(masks: Tensor, boxes_xyxy: Tensor, gt_index: Tensor, size: int) -> Tensor:
    """(P, s, s) float32 of 0 and 1: what of its object's mask lies in each bin of each box.

    Args:
        masks: (G, H, W) of 0 and 1. boxes_xyxy: (P, 4). gt_index: (P,) object of each box.

    A bin is 1 where the mean of its samples is at least a half. Source: BitmapMasks of mmdet.
    """
    if boxes_xyxy.shape[0] == 0:
        return torch.zeros(0, size, size, device=boxes_xyxy.device)
    used, place = gt_index.unique(return_inverse=True)
    bitmaps = masks[used].float()[:, None]  # used 1 H W
    boxes = boxes_xyxy.detach().float()
    rois = torch.cat([place[:, None].to(boxes.dtype), boxes], dim=1)
    return (roi_align(bitmaps, rois, size, 1.0, 0, True)[:, 0] >= 0.5).float()
