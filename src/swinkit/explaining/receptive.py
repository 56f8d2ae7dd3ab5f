"""Which pixels a token can see after each block: by the windows, and by the gradient.

Legend: H W pixels, h w tokens of a map, C channels, P slots of the padded map in window order.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.backbones.stage import StagePlan
from swinkit.backbones.swin import SwinBackbone
from swinkit.settings import SizeHW
from swinkit.windows.layout import WindowLayout
from swinkit.windows.shift_mask import region_of_slots

# A masked pair keeps exp(-100) = 4e-44 of its weight: gradients that small are the mask's.
SMALLEST = 1e-30


def seen_pixels(
    plans: Sequence[StagePlan],
    image_hw: SizeHW,
    patch_size: int,
    stage: int,
    block: int,
    token_hw: SizeHW,
) -> Tensor:
    """(H, W) bool: the pixels that a token of a block's output depends on, by the windows alone.

    Args:
        plans: of all stages; those without shifts show what the shift does.
        block: -1 for what the stage's first block reads.
    """
    seen = torch.zeros(plans[stage].size_hw, dtype=torch.bool)
    seen[token_hw] = True
    for number in range(block, -1, -1):
        seen = spread(seen, plans[stage].layouts[number % 2])
    for earlier in range(stage - 1, -1, -1):
        rows, columns = plans[earlier].size_hw
        seen = seen.repeat_interleave(2, 0).repeat_interleave(2, 1)[:rows, :columns]
        turns = plans[earlier].depth
        for number in range(turns - 1, -1, -1):
            seen = spread(seen, plans[earlier].layouts[number % 2])
    pixels = seen.repeat_interleave(patch_size, 0).repeat_interleave(patch_size, 1)
    return pixels[: image_hw[0], : image_hw[1]]


def spread(seen: Tensor, layout: WindowLayout) -> Tensor:
    """(h, w) bool: with one token of a region of a window, all of them."""
    window = torch.arange(layout.num_slots) // layout.tokens_per_window
    group = 4 * window + region_of_slots(layout)  # P
    padded = torch.zeros(layout.padded_hw, dtype=torch.bool)
    padded[: seen.shape[0], : seen.shape[1]] = seen
    touched = torch.zeros(4 * layout.num_windows, dtype=torch.bool)
    touched[group[padded.flatten()[layout.slot_to_padded]]] = True
    found = torch.zeros(layout.num_slots, dtype=torch.bool)
    found[layout.slot_to_padded] = touched[group]
    return found.unflatten(0, layout.padded_hw)[: seen.shape[0], : seen.shape[1]]


def gradients(
    backbone: SwinBackbone,
    image: Tensor,
    places: Sequence[tuple[int, int, SizeHW]],
    *,
    shifts: bool = True,
) -> list[Tensor]:
    """(H, W) size of the gradient of a token after a block in each pixel.

    The gradient is that of a random mixture of the token's channels: their plain sum is constant
    behind a layer norm.

    Args:
        image: (1, C, H, W).
        places: stage, block, (row, column) of the token.
        shifts: False runs SW-MSA as W-MSA.
    """
    image = image.detach().clone().requires_grad_()
    names = [f"stages.{stage}.blocks.{block}" for stage, block, _ in places]
    generator = torch.Generator().manual_seed(0)
    found = []
    with torch.enable_grad():
        values = backbone.intermediates(image, names, shifts=shifts)
        for name, (_, _, token_hw) in zip(names, places, strict=True):
            token = values[name][0][token_hw]  # C
            mixture = torch.randn(token.shape, generator=generator).to(token)
            (slope,) = torch.autograd.grad((token * mixture).sum(), image, retain_graph=True)
            found.append(slope[0].abs().sum(0).cpu())
    return found


def is_seen(gradient: Tensor) -> Tensor:
    """(H, W) bool: where the gradient is more than what a mask lets through."""
    return gradient > SMALLEST * gradient.max()
