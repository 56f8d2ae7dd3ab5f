"""A 3 x 3 convolution of maps that must first be enlarged, computed before enlarging them.

UPerNet enlarges three coarse maps to the finest, concatenates the four and convolves: nearly two
thirds of the network's work. Both steps are linear. A tap of the kernel is a 1 x 1 convolution
followed by a shift, and a 1 x 1 convolution commutes with bilinear resizing, so

    conv3x3(resize(x)) = sum over taps (i, j) of shift_ij(resize(W_ij x))
                       = sum over i, j of R_i (W_ij x) C_j^T

with R_i (H x h) and C_j (W x w) the resizing matrices along an axis, shifted by a tap. The 1 x 1
convolutions run on the coarse map, a quarter, a sixteenth and a sixty-fourth of the places, and the
two products with R and C replace enlarging. No enlarged or concatenated map exists.

Legend: B batch, C channels in, D channels out, H W finest map, h w coarse map, i j taps.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# R and C are dense, so their products grow faster than the map; from here on enlarging is cheaper.
LONGEST_SIDE = 512


def conv_of_resized(weight: Tensor, finest: Tensor, coarser: Sequence[Tensor]) -> Tensor:
    """`conv2d(cat([finest, *enlarged coarser]), weight, padding=1)` without enlarging.

    Args:
        weight: (D, sum of C, 3, 3).
        finest: `B C H W`.
        coarser: maps `B C h w` that bilinear resizing (corners not aligned) brings to H x W.

    Returns:
        `B D H W`.
    """
    size_hw = (finest.shape[2], finest.shape[3])
    if max(size_hw) > LONGEST_SIDE:
        return conv_of_enlarged(weight, finest, coarser)
    parts = weight.split([finest.shape[1], *(maps.shape[1] for maps in coarser)], dim=1)
    result = F.conv2d(finest, parts[0], padding=1)
    result = result.permute(0, 2, 3, 1).flatten(0, 1)  # BH W D
    for kernel, maps in zip(parts[1:], coarser, strict=True):
        rows = _along_rows(kernel, maps, size_hw[0])  # BH 3w D
        columns = shifted_resizing(maps.shape[3], size_hw[1], rows)  # 3 W w
        columns = columns.permute(1, 2, 0).flatten(1)  # W 3w
        columns = columns.expand(rows.shape[0], -1, -1)
        result = torch.baddbmm(result, columns, rows)
    return result.unflatten(0, (-1, size_hw[0])).permute(0, 3, 1, 2)


def conv_of_enlarged(weight: Tensor, finest: Tensor, coarser: Sequence[Tensor]) -> Tensor:
    """The same as the paper's figure draws it: enlarge, concatenate, convolve."""
    size_hw = (finest.shape[2], finest.shape[3])
    maps = [finest, *(resize(coarse, size_hw) for coarse in coarser)]
    return F.conv2d(torch.cat(maps, 1), weight, padding=1)


def resize(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """`B C h w` -> `B C H W`, bilinear, corners not aligned; the same tensor if nothing changes."""
    if (maps.shape[2], maps.shape[3]) == size_hw:
        return maps
    return F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=False)


def shifted_resizing(source: int, target: int, like: Tensor) -> Tensor:
    """(3, target, source): what rows y-1, y, y+1 of a resized axis take from the source.

    Rows outside the resized axis are zero, as the convolution's padding is.
    """
    exact = torch.promote_types(like.dtype, torch.float32)
    identity = torch.eye(source, dtype=exact, device=like.device)
    matrix = F.interpolate(identity[None], size=target, mode="linear", align_corners=False)[0].T
    padded = F.pad(matrix, (0, 0, 1, 1))  # target + 2, source
    return torch.stack([padded[tap : tap + target] for tap in range(3)]).to(like.dtype)


def _along_rows(kernel: Tensor, maps: Tensor, height: int) -> Tensor:
    """Sum over i of R_i (W_ij x) for each j: `BH 3w D`, the last axis but one as (w, j)."""
    batch, _, rows, columns = maps.shape
    taps = kernel.permute(2, 1, 3, 0).flatten(2)  # i C jD
    places = maps.permute(0, 2, 3, 1).flatten(1, 2)  # B hw C
    products = places[:, None] @ taps  # B i hw jD
    products = products.view(batch, 3 * rows, -1)  # B ih wjD
    matrix = shifted_resizing(rows, height, products)  # i H h
    matrix = matrix.transpose(0, 1).flatten(1)  # H ih
    resized = matrix @ products  # B H wjD
    return resized.view(batch * height, 3 * columns, -1)
