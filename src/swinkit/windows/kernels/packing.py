"""Weights in the layout in which oneDNN multiplies, made once while they stay the same.

Without this every product lays its weights out anew: 5 to 20% of its time, most where few rows
meet many weights. What is kept takes as much memory as the weights of the linear layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

SAMPLES = 16  # numbers of a weight that are compared at each use


@dataclass(frozen=True, slots=True)
class _Packed:
    version: int
    place: int
    sample: Tensor
    weight: Tensor


_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()


def packed(weight: Tensor, rows: int) -> Tensor:
    """A (D, C) weight as oneDNN takes it for products of about that many rows.

    It is made anew when the weight has changed: its version counter tells, its memory, or, as
    writes through `.data` leave both alone, some of its numbers.
    """
    version = 0 if weight.is_inference() else weight._version
    sample = weight.flatten()[:: max(weight.numel() // SAMPLES, 1)]
    found: _Packed | None = _kept.get(weight)
    if (
        found is None
        or (found.version, found.place) != (version, weight.data_ptr())
        or not torch.equal(found.sample, sample)
    ):
        made = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
        found = _Packed(version, weight.data_ptr(), sample.detach().clone(), made)
        _kept[weight] = found
    return found.weight
