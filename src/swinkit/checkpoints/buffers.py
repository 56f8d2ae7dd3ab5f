"""Buffers that other packages store beside the weights and expect back when they load strictly.

Legend: M window (Mh, Mw), T tokens per window, nW windows, H W map.
"""

import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import map_hw
from swinkit.checkpoints.keymap import Source, Tensors
from swinkit.settings import SizeHW
from swinkit.windows.position_bias import log_spaced_coordinates, relative_position_index
from swinkit.windows.shift_mask import FORBIDDEN


def derived_buffers(
    source: Source, config: SwinConfig, image_hw: SizeHW, attention: str, step: int, first: int
) -> Tensors:
    """Every persistent buffer of the source's model, by foreign name.

    Args:
        attention: foreign name of the attention inside a block.
        step, first: numbering of stages, see `keymap.Entry`.
    """
    buffers: Tensors = {}
    for stage, depth in enumerate(config.depths):
        window = config.windows[stage]
        index = relative_position_index(window)
        if source.name == "torchvision":
            index = index.flatten()
        for number in range(depth):
            block = source.block.format(stage=step * stage + first, block=number)
            if "relative_position_index" in source.persistent:
                buffers[f"{block}.{attention}.relative_position_index"] = index.clone()
            if "relative_coords_table" in source.persistent and config.version == 2:
                table = log_spaced_coordinates(window, config.pretrained_windows[stage])
                buffers[f"{block}.{attention}.relative_coords_table"] = table[None].clone()
            if "attn_mask" in source.persistent and number % 2:
                mask = attention_mask(map_hw(image_hw, config.patch_size, stage), window)
                if mask is not None:
                    buffers[f"{block}.attn_mask"] = mask
    return buffers


def attention_mask(size_hw: SizeHW, window: SizeHW) -> Tensor | None:
    """(nW, T, T) mask of the official classifier in map order, or None where it does not shift."""
    if min(size_hw) <= max(window) or size_hw[0] % window[0] or size_hw[1] % window[1]:
        return None
    axes = []
    for side, extent in zip(size_hw, window, strict=True):
        position = torch.arange(side)
        band = (position >= side - extent).long() + (position >= side - extent // 2).long()
        axes.append(band.view(-1, extent))  # nWh Mh
    rows, columns = axes
    region = 3 * rows[:, None, :, None] + columns[None, :, None, :]  # nWh nWw Mh Mw
    region = region.reshape(-1, window[0] * window[1])  # nW T
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape).masked_fill_(apart, FORBIDDEN)
