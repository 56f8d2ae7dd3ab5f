"""Detectors of mmdet 1, whose first class is the background and whose heads have other names.

Nothing in the tensors tells their order: only the version that training wrote beside them does.

Legend: K classes without background, C input channels of a layer.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_HEADS = re.compile(r"(?P<prefix>.*?)(?P<head>(bbox|mask|semantic)_head\..*)")


def modernise(
    tensors: Mapping[str, Tensor], meta: Mapping[str, object], guesses: list[str]
) -> dict[str, tuple[str, Tensor]]:
    """Present name -> (name in the file, tensor in the present order).

    Args:
        meta: with "mmdet_version" of the training run; files of version 2 and later stay as they
            are, and so do files that do not tell.
        guesses: gets a line where something was changed.
    """
    same = {name: (name, value) for name, value in tensors.items()}
    if not re.match(r"[01]\.", str(meta.get("mmdet_version", ""))):
        return same
    regions = any("rpn_head." in name for name in tensors)
    if not regions:
        return same
    guesses.append(
        f"mmdet {meta['mmdet_version']}: background moved from the first class to the last; boxes "
        "of that version end one pixel later than swinkit's"
    )
    rows = next(
        (len(v) for n, v in tensors.items() if re.search(r"bbox_head\.(0\.)?fc_cls\.bias$", n)), 0
    )
    return {
        _HEADS.sub(r"\g<prefix>roi_head.\g<head>", name): (name, _reordered(name, value, rows))
        for name, value in tensors.items()
    }


def _reordered(name: str, value: Tensor, rows: int) -> Tensor:
    """Class rows (background, 1..K) as (1..K, background), box and mask rows without background."""
    if ".fc_cls." in name:
        return torch.roll(value, -1, 0)
    per_class = len(value) // max(rows, 1)
    if ".fc_reg." in name and len(value) == 4 * rows:
        return value[per_class:].contiguous()
    if "mask_head." in name and ".conv_logits." in name and len(value) == rows:
        return value[per_class:].contiguous()
    return value
