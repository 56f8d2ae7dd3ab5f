"""COCO's run lengths and polygons as masks. G objects, H W map.

A run-length code counts pixels column by column, zeros first. COCO's compressed form writes each
count, from the fourth on as the difference to the count two places before, in 5-bit groups of
printable characters. Rasterization is that of the COCO tools, through faster-coco-eval, so masks
here and in the evaluation are the same to the pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Its package alone would bring the evaluation; this module is the compiled mask code.
from faster_coco_eval.core import mask as coco_mask

from swinkit.parsing import integer, sequence
from swinkit.settings import SizeHW

FIRST_CHARACTER = 48
LAST_CHARACTER = FIRST_CHARACTER + 63
CONTINUES = 0x20
NEGATIVE = 0x10
FARTHEST = 1e5  # pixels; coordinates beyond mean nothing and would fill the memory
LONGEST_SIDE = 65_535  # pixels; what run lengths can count
LARGEST_NUMBER = 2**53  # of an image, or a coordinate; floats count no further
MAX_GROUPS = 12  # of 5 bits; more would overflow 63 bits


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The outline of one object: polygons, or a compressed run-length code.

    Attributes:
        polygons: flat arrays x0 y0 x1 y1 ... float64, in pixels; their union is the object.
        counts: compressed run lengths, where there are no polygons.
        size_hw: size of the image that `counts` describes; None for polygons.
    """

    polygons: tuple[np.ndarray, ...] = ()
    counts: bytes = b""
    size_hw: SizeHW | None = None

    def to_rle(self, size_hw: SizeHW) -> dict[str, Any]:
        """COCO's {"size": [H, W], "counts": bytes} for an image of `size_hw`."""
        if not self.polygons:
            return {"size": list(self.size_hw or size_hw), "counts": self.counts}
        # Rasterization takes memory for every pixel along an edge, also outside the image.
        near = [np.clip(part, -FARTHEST, FARTHEST).tolist() for part in self.polygons]
        parts = coco_mask.frPyObjects(near, *size_hw)
        return parts[0] if len(parts) == 1 else coco_mask.merge(parts)

    def to_coco(self, size_hw: SizeHW) -> list[list[float]] | dict[str, Any]:
        """What a COCO annotation holds under "segmentation"."""
        if self.polygons:
            return [part.tolist() for part in self.polygons]
        return {"size": list(self.size_hw or size_hw), "counts": self.counts.decode("ascii")}


def is_number(value: Any) -> bool:
    """Whether it is a number of a size that means something; NaN and infinities are not."""
    return isinstance(value, int | float) and -LARGEST_NUMBER < value < LARGEST_NUMBER


def is_side(*values: Any) -> bool:
    """Whether all are lengths of an image's sides in pixels."""
    return all(is_number(value) and 1 <= value <= LONGEST_SIDE for value in values)


def read_segment(value: Any) -> Segment | str | None:
    """COCO's "segmentation" of any form; None where there is none, a reason where it is unusable.

    Compressed run lengths are not checked here.
    """
    if value is None or value in ([], {}, "", [[]]):
        return None
    if isinstance(value, list):
        # A single polygon without the list around it is a common mistake that means one thing.
        nested = isinstance(value[0], (list, dict))
        return read_polygons(value if nested else [value])
    if not isinstance(value, dict) or "counts" not in value:
        return "it is neither polygons nor run lengths"
    sides, counts = [integer(side) for side in sequence(value.get("size"))], value["counts"]
    if len(sides) != 2 or not is_side(*sides):
        return f"its size is {str(value.get('size'))[:60]}, not [height, width]"
    size_hw = (int(sides[0] or 0), int(sides[1] or 0))
    if isinstance(counts, str):
        plain = counts.isascii()
        return (
            Segment(counts=counts.encode("ascii"), size_hw=size_hw)
            if plain
            else "its run lengths hold foreign characters"
        )
    code = compress_counts(counts, size_hw) if isinstance(counts, list) else None
    return (
        "its run lengths do not fill the image"
        if code is None
        else Segment(counts=code, size_hw=size_hw)
    )


def read_polygons(parts: Sequence[Any]) -> Segment | str:
    """Flat lists x0 y0 x1 y1 ..., or lists of [x, y], as one outline; a reason where none is
    usable."""
    polygons = []
    for part in parts:
        try:
            points = np.array(part, np.float64)
        except (TypeError, ValueError, OverflowError):
            return "a polygon holds something that is not a number"
        if points.ndim == 2 and points.shape[1] == 2:
            points = points.ravel()
        if points.ndim != 1 or points.size % 2 or points.size < 6:
            continue
        # A comparison with NaN is false, so this finds it as well.
        if not (np.abs(points) < FARTHEST).all():
            return "a polygon has coordinates that are not finite or far outside"
        polygons.append(points)
    return Segment(polygons=tuple(polygons)) if polygons else "no polygon has three corners"


def segment_box(segment: Segment) -> tuple[float, float, float, float]:
    """The box x y x y around a sound outline."""
    if segment.polygons:
        points = np.concatenate(segment.polygons).reshape(-1, 2)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right, bottom
    left, top, width, height = coco_mask.toBbox(segment.to_rle(segment.size_hw or (0, 0))).tolist()
    return left, top, left + width, top + height


def decode_segments(segments: Sequence[Segment], size_hw: SizeHW) -> np.ndarray:
    """Masks (G, H, W) uint8 of 0 and 1. Segments are sound, as the loaders leave them."""
    if not segments:
        return np.zeros((0, *size_hw), np.uint8)
    masks = coco_mask.decode([segment.to_rle(size_hw) for segment in segments])
    return np.ascontiguousarray(masks.transpose(2, 0, 1))  # H W G -> G H W


def encode_masks(masks: np.ndarray) -> list[Segment]:
    """Compressed run lengths of masks (G, H, W), any non-zero value counting as 1."""
    if len(masks) == 0:
        return []
    size_hw = (int(masks.shape[1]), int(masks.shape[2]))
    columns = np.asfortranarray((masks != 0).astype(np.uint8).transpose(1, 2, 0))  # H W G
    return [Segment(counts=rle["counts"], size_hw=size_hw) for rle in coco_mask.encode(columns)]


def compress_counts(counts: Sequence[int], size_hw: SizeHW) -> bytes | None:
    """The compressed form of plain counts; None where they do not fill the image exactly."""
    try:
        values = np.asarray(counts, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    whole = values.ndim == 1 and len(values) > 0 and bool((values == np.rint(values)).all())
    if not whole or values.min() < 0 or values.sum() != size_hw[0] * size_hw[1]:
        return None
    plain = {"size": list(size_hw), "counts": values.astype(np.int64).tolist()}
    return coco_mask.frPyObjects(plain, *size_hw)["counts"]


def read_counts(codes: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The run lengths in compressed codes, all codes at once.

    Returns:
        counts (N,) int64 of all codes one after the other, and ends (len(codes),): where the
        counts of each code end. A code with a foreign character, a torn last count or an overlong
        one contributes the single count -1.
    """
    ends_in = np.cumsum([len(code) for code in codes], dtype=np.int64)
    raw = np.frombuffer(b"".join(codes), np.uint8).astype(np.int64) - FIRST_CHARACTER
    code_of = np.repeat(np.arange(len(codes)), np.diff(ends_in, prepend=0))
    last = (raw & CONTINUES) == 0
    first = np.ones(len(raw), bool)
    first[1:] = last[:-1] | (code_of[1:] != code_of[:-1])
    starts = np.flatnonzero(first)
    place = np.arange(len(raw)) - starts[np.cumsum(first) - 1] if len(raw) else raw
    spoiled = np.zeros(len(codes), bool)
    spoiled[code_of[(raw < 0) | (raw > LAST_CHARACTER - FIRST_CHARACTER)]] = True
    spoiled[code_of[place >= MAX_GROUPS]] = True
    filled = np.diff(ends_in, prepend=0) > 0
    spoiled |= ~filled
    spoiled[filled] |= ~last[ends_in[filled] - 1]
    values = _join_groups(raw, np.minimum(place, MAX_GROUPS - 1), starts)
    owner = code_of[starts]
    counts = _undo_differences(values, owner)
    keep = ~spoiled[owner]
    merged_owner = np.concatenate([owner[keep], np.flatnonzero(spoiled)])
    merged = np.concatenate([counts[keep], np.full(int(spoiled.sum()), -1)])
    order = np.argsort(merged_owner, kind="stable")
    return merged[order], np.cumsum(np.bincount(merged_owner, minlength=len(codes)))


def rle_areas(codes: Sequence[bytes], sizes_hw: Sequence[SizeHW]) -> np.ndarray:
    """Pixels of each code (len(codes),) int64; -1 where a code does not fill its image exactly."""
    if not codes:
        return np.zeros(0, np.int64)
    counts, ends = read_counts(codes)
    starts = np.concatenate([[0], ends[:-1]])
    place = np.arange(len(counts)) - np.repeat(starts, ends - starts)
    totals = np.add.reduceat(counts, starts)
    least = np.minimum.reduceat(counts, starts)
    ones = np.add.reduceat(np.where(place % 2 == 1, counts, 0), starts)
    wanted = np.array([height * width for height, width in sizes_hw])
    return np.where((totals == wanted) & (least >= 0), ones, -1)


def _join_groups(raw: np.ndarray, place: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Signed values of the 5-bit groups that begin at `starts`, least significant first."""
    if len(raw) == 0:
        return raw
    values = np.add.reduceat((raw & 0x1F) << (5 * place), starts)
    ends = np.concatenate([starts[1:], [len(raw)]]) - 1
    reach = np.int64(1) << (5 * (place[ends] + 1))
    return np.where(raw[ends] & NEGATIVE, values - reach, values)


def _undo_differences(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """counts[m] = values[m] + counts[m - 2] for m > 2, code by code, as two running sums."""
    if len(values) == 0:
        return values
    begin = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    lengths = np.diff(np.concatenate([begin, [len(values)]]))
    place = np.arange(len(values)) - np.repeat(begin, lengths)
    counts = values.copy()
    for parity in (0, 1):
        alike = (place % 2 == parity) & (place > 0)
        if not alike.any():
            continue
        sums = np.cumsum(values[alike])
        own = owner[alike]
        heads = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
        before = np.repeat(sums[heads] - values[alike][heads], np.diff([*heads, len(own)]))
        counts[alike] = sums - before
    return counts
