"""Attention on the map: of one token stitched and un-shifted, rolled out, and how far heads look.

Legend: h w tokens of a map, Hp Wp the map padded to whole windows, P = Hp * Wp slots, nW windows,
N heads, T tokens per window.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.settings import SizeHW
from swinkit.windows.layout import WindowLayout


def place_of(layout: WindowLayout, token_hw: SizeHW) -> tuple[int, int]:
    """Window of a token, and its place in it."""
    padded = token_hw[0] * layout.padded_hw[1] + token_hw[1]
    slot = int(layout.padded_to_slot[padded])
    return divmod(slot, layout.tokens_per_window)


def stitched(weights: Tensor, layout: WindowLayout, token_hw: SizeHW) -> Tensor:
    """Where one token looks, on the map as it lies in the image.

    Args:
        weights: `nW N T T`, windows in the order of the layout.
        token_hw: (row, column) of the query.

    Returns:
        (N, h, w); zero outside the token's window. What padding gets is cut off.
    """
    window, place = place_of(layout, token_hw)
    row = weights[window, :, place]  # N T
    slots = layout.slot_to_padded.unflatten(0, (layout.num_windows, -1))[window]
    padded = row.new_zeros(row.shape[0], layout.num_slots)
    padded[:, slots] = row
    return _cropped(padded.unflatten(1, layout.padded_hw), layout)


def spatial_reach(weights: Tensor, layout: WindowLayout, stride: int) -> Tensor:
    """(N,) mean distance in pixels between a token and what it looks at, weighted by attention."""
    row, column = (
        where.unflatten(0, (layout.num_windows, -1)).float() for where in layout.slot_coordinates()
    )  # nW T
    down, right = row[:, :, None] - row[:, None], column[:, :, None] - column[:, None]
    distance = (down.square() + right.square()).sqrt() * stride  # nW T T
    mean = (weights * distance[:, None]).sum(-1)  # nW N T
    real = ~layout.padding().unflatten(0, (layout.num_windows, -1))  # nW T
    return (mean * real[:, None]).sum((0, 2)) / real.sum()


def rollout(
    weights: Sequence[Sequence[Tensor]],
    layouts: Sequence[tuple[WindowLayout, WindowLayout]],
    seed: Tensor,
) -> Tensor:
    """How much of each first-stage token has come to a place of the last map (2005.00928).

    Backward through the network each token passes half of its share to itself, the residual, and
    half along the mean attention of its heads; a merged token passes it to its children alike.

    Args:
        weights: `nW N T T` of each block of each stage.
        layouts: of W-MSA and SW-MSA of each stage.
        seed: (h, w) of the last map.

    Returns:
        (h, w) of the first map. What goes to padding is lost.
    """
    share = seed
    for stage in reversed(range(len(weights))):
        for block in reversed(range(len(weights[stage]))):
            share = pass_back(share, weights[stage][block].mean(1), layouts[stage][block % 2], 0.5)
        if stage > 0:
            share = to_children(share, layouts[stage - 1][0].size_hw)
    return share


def pass_back(share: Tensor, weights: Tensor, layout: WindowLayout, kept: float) -> Tensor:
    """(h, w) shares through one attention `nW T T`: `kept` of each stays where it is."""
    padded = share.new_zeros(layout.padded_hw)
    padded[: share.shape[0], : share.shape[1]] = share
    windows = padded.flatten()[layout.slot_to_padded].unflatten(0, (layout.num_windows, 1, -1))
    passed = (windows @ weights).flatten()  # P
    back = torch.zeros_like(passed)
    back[layout.slot_to_padded] = passed
    looked = _cropped(back.unflatten(0, layout.padded_hw), layout)
    return kept * share + (1 - kept) * looked


def to_children(share: Tensor, size_hw: SizeHW) -> Tensor:
    """(h, w) shares of merged tokens on the map of `size_hw` before merging."""
    spread = share.repeat_interleave(2, 0).repeat_interleave(2, 1)[: size_hw[0], : size_hw[1]]
    rows, columns = (torch.ones(side) for side in size_hw)
    if size_hw[0] % 2 == 0:
        rows /= 2
    else:
        rows[:-1] /= 2
    if size_hw[1] % 2 == 0:
        columns /= 2
    else:
        columns[:-1] /= 2
    return spread * rows[:, None] * columns


def _cropped(padded: Tensor, layout: WindowLayout) -> Tensor:
    return padded[..., : layout.size_hw[0], : layout.size_hw[1]]
