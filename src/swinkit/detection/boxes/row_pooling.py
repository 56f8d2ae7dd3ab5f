"""RoIAlign on a CPU as weighted sums of rows: a map's places are rows of C neighboring numbers.

Bilinear sampling is separable, and samples of a bin fall on the same few places again and again:
each bin is one weighted sum over those places. On maps whose channels lie together, as those of
this backbone do, that is a tenth of the time of sampling channel by channel, forward and backward.

Legend: C channels, H W map, R RoIs, s bins along an axis, n samples of a bin along an axis,
T places that these touch, Ty Tx the same per axis.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.detection.boxes.geometry import chunks

# Candidates for (place, weight) pairs that are made at once: 24 MB.
CHUNK_PAIRS = 1 << 21


def tap_counts(rois: Tensor, scale: float, size: int) -> Tensor:
    """(R, 2) int64 places along y and x that a bin of each of (R, 5) RoIs touches at most."""
    samples = _samples((rois[:, 3:] - rois[:, 1:3]).flip(1) * scale, size)
    return samples.clamp(min=1).to(torch.int64) + 2


def pool_rows(level: Tensor, rois: Tensor, scale: float, size: int) -> list[Tensor]:
    """RoIAlign (aligned, as many samples as places) of `B C H W` at (R, 5) RoIs -> R s*s*C, in
    pieces that are still to be joined.

    RoIs should be ordered by the product of their tap counts; their order is kept.
    """
    channels, height, width = level.shape[1:]
    table = level.permute(0, 2, 3, 1).reshape(-1, channels).contiguous()  # B*H*W C
    taps = tap_counts(rois, scale, size)
    pieces = []
    for run, tall, wide in chunks(taps, CHUNK_PAIRS // size**2):
        own = rois[run]
        y, y_weights = _taps(own[:, 2], own[:, 4], scale, size, height, tall)  # R s Ty
        x, x_weights = _taps(own[:, 1], own[:, 3], scale, size, width, wide)  # R s Tx
        weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]  # R s s Ty Tx
        row = own[:, 0].to(torch.int32)[:, None, None] * height + y  # R s Ty
        place = row[:, :, None, :, None] * width + x[:, None, :, None, :]
        used = weights > 0
        ends = used.flatten(3).sum(-1, dtype=torch.int32).flatten().cumsum(0, dtype=torch.int32)
        pairs = used.flatten().nonzero().flatten()
        bins = F.embedding_bag(
            place.flatten().index_select(0, pairs),
            table,
            F.pad(ends[:-1], (1, 0)),
            mode="sum",
            per_sample_weights=weights.flatten().index_select(0, pairs),
        )  # R*s*s C
        pieces.append(bins.view(len(own), -1))
    return pieces


def _samples(sides: Tensor, size: int) -> Tensor:
    """Samples of a bin along an axis: the places of the map that it spans, rounded up."""
    return (sides / size).ceil().clamp(min=0)


def _taps(
    low: Tensor, high: Tensor, scale: float, size: int, length: int, number: int
) -> tuple[Tensor, Tensor]:
    """Places (R, s, T) along an axis of `length` places, and the weight of each in its bin."""
    # The same roundings as torchvision's, so that a sample on an edge falls on the same side.
    begin, end = low * scale - 0.5, high * scale - 0.5
    bins = ((end - begin) / size)[:, None, None]
    count = _samples(end - begin, size)[:, None, None]
    bin_number = torch.arange(size, device=low.device, dtype=low.dtype)[:, None]
    sample = torch.arange(number - 2, device=low.device, dtype=low.dtype)
    at = begin[:, None, None] + bin_number * bins + (sample + 0.5) * bins / count  # R s n
    valid = (sample < count) & (at >= -1) & (at <= length)
    at = at.clamp(0, length - 1)
    first = at[..., :1].floor()
    places = first + torch.arange(number, device=low.device)  # R s T
    shares = (1 - (at[..., :, None] - places[..., None, :]).abs()).clamp(min=0)  # R s n T
    shares = torch.where(valid[..., None], shares, 0).sum(2) / count.clamp(min=1)
    return places.clamp(max=length - 1).to(torch.int32), shares
