"""The mean of a loss over images, whatever the sizes of their batches."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """Mean over images of batch means; NaN stays NaN.

    torchmetrics' MeanMetric forgets its weights where NaN handling is off (1.9, aggregation.py),
    so a small last batch would count as much as a full one.
    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, *, sync_on_compute: bool = True) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        zero = torch.tensor(0.0, dtype=torch.float64)
        self.add_state("total", default=zero, dist_reduce_fx="sum")
        self.add_state("images", default=zero.clone(), dist_reduce_fx="sum")

    def update(self, mean: Tensor, images: int) -> None:
        """Add a batch's mean loss over that many images."""
        self.total += mean.double() * images
        self.images += images

    def compute(self) -> Tensor:
        """The mean over all images so far, of all processes."""
        return self.total / self.images
