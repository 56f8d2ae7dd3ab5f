"""Equality of numbers that went through exp() or log(), which every processor rounds its own way.

A kernel for AVX2 and one for AVX-512 may give neighboring float32 numbers. Nothing else may
differ: the tests that use these bounds ask for the same rows in the same order.
"""

import torch
from torch import Tensor

EPS = torch.finfo(torch.float32).eps


def same_boxes(ours: Tensor, theirs: Tensor) -> bool:
    """Whether boxes, row by row, are one box up to exp().

    A side that is one part in 1 / EPS longer moves an edge by EPS / 2 of the side, and rounding
    the edge adds EPS / 2 of the coordinate: together EPS of the image's longer side.
    """
    if ours.shape != theirs.shape:
        return False
    return ours.numel() == 0 or bool((ours - theirs).abs().max() <= EPS * theirs.abs().max())


def same_deltas(ours: Tensor, theirs: Tensor) -> bool:
    """Whether deltas are equal up to log(): one rounding of it, one of the division after it."""
    return ours.shape == theirs.shape and bool(
        ((ours - theirs).abs() <= 2 * EPS * theirs.abs()).all()
    )
