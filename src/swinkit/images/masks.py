"""Masks of many objects on one image, kept as the bits inside their boxes. N objects, H W image.

A hundred masks of an image of 8000 by 6000 pixels take 5 GB as an array; here they take what the
objects cover, an eighth of a byte per pixel of each one's surroundings.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from swinkit.errors import SwinkitError
from swinkit.settings import SizeHW


class PackedMasks(Sequence[np.ndarray]):
    """N masks (H, W), decoded when asked for.

    `masks[3]` is one mask (H, W) bool; `masks.rows([0, 3])` some of them, still packed;
    `masks.dense()`, or `np.asarray(masks)`, all of them as (N, H, W) bool.
    """

    def __init__(
        self, crops: Sequence[np.ndarray], corners_yx: Sequence[tuple[int, int]], size_hw: SizeHW
    ) -> None:
        """From the part of each mask that holds anything.

        Args:
            crops: N arrays (h, w) bool.
            corners_yx: where in the image the first pixel of each crop lies.
            size_hw: of the image.

        Raises:
            SwinkitError: a crop that leaves the image.
        """
        self.size_hw = (int(size_hw[0]), int(size_hw[1]))
        self._shapes: list[SizeHW] = []
        self._corners: list[tuple[int, int]] = []
        self._bits: list[np.ndarray] = []
        for crop, (top, left) in zip(crops, corners_yx, strict=True):
            bottom, right = top + crop.shape[0], left + crop.shape[1]
            if min(top, left) < 0 or bottom > self.size_hw[0] or right > self.size_hw[1]:
                raise SwinkitError(
                    f"a mask at rows {top}..{bottom} and columns {left}..{right} leaves its image "
                    f"of {self.size_hw[0]}x{self.size_hw[1]} pixels (height x width)"
                )
            self._add(np.asarray(crop, bool), int(top), int(left))

    @classmethod
    def of(cls, masks: Any) -> "PackedMasks":
        """From anything like an array (N, H, W), non-zero meaning inside; packed ones as they are.

        Raises:
            SwinkitError: another shape.
        """
        if isinstance(masks, cls):
            return masks
        values = np.asarray(masks)
        if values.ndim != 3:
            raise SwinkitError(f"masks: expected shape (N, H, W), got {values.shape}")
        size_hw = (values.shape[1], values.shape[2])
        return cls([mask != 0 for mask in values], [(0, 0)] * len(values), size_hw)

    def __len__(self) -> int:
        return len(self._bits)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return self.rows(range(len(self))[number])
        mask = np.zeros(self.size_hw, bool)
        crop, (top, left) = self.crop(number)
        mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        return mask

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.dense() if dtype is None else self.dense().astype(dtype)

    def dense(self) -> np.ndarray:
        """All masks as (N, H, W) bool."""
        return np.stack([*self]) if len(self) else np.zeros((0, *self.size_hw), bool)

    def crop(self, number: int) -> tuple[np.ndarray, tuple[int, int]]:
        """One mask's part that holds anything (h, w) bool, and its corner (row, column)."""
        height, width = self._shapes[number]
        bits = np.unpackbits(self._bits[number], count=height * width)
        return bits.reshape(height, width).view(bool), self._corners[number]

    def rows(self, numbers: Sequence[int] | np.ndarray) -> "PackedMasks":
        """The masks of these numbers, in their order; nothing is decoded."""
        chosen = PackedMasks([], [], self.size_hw)
        for number in numbers:
            chosen._bits.append(self._bits[int(number)])
            chosen._shapes.append(self._shapes[int(number)])
            chosen._corners.append(self._corners[int(number)])
        return chosen

    @classmethod
    def chained(cls, parts: Sequence["PackedMasks"], size_hw: SizeHW) -> "PackedMasks":
        """The masks of all parts, one after the other; nothing is decoded."""
        whole = cls([], [], size_hw)
        for part in parts:
            whole._bits += part._bits
            whole._shapes += part._shapes
            whole._corners += part._corners
        return whole

    def placed(self, corner_yx: tuple[int, int], size_hw: SizeHW) -> "PackedMasks":
        """The masks of a tile whose first pixel is `corner_yx` of an image of `size_hw`."""
        moved = self.rows(range(len(self)))
        moved.size_hw = size_hw
        moved._corners = [(top + corner_yx[0], left + corner_yx[1]) for top, left in self._corners]
        return moved

    def joined(self, groups: Sequence[Sequence[int]]) -> "PackedMasks":
        """One mask for each group of numbers: the union of theirs."""
        crops, corners = [], []
        for group in groups:
            parts = [self.crop(int(number)) for number in group]
            top = min(corner[0] for _, corner in parts)
            left = min(corner[1] for _, corner in parts)
            bottom = max(corner[0] + crop.shape[0] for crop, corner in parts)
            right = max(corner[1] + crop.shape[1] for crop, corner in parts)
            union = np.zeros((bottom - top, right - left), bool)
            for crop, (row, column) in parts:
                rows = slice(row - top, row - top + crop.shape[0])
                union[rows, column - left : column - left + crop.shape[1]] |= crop
            crops.append(union)
            corners.append((top, left))
        return PackedMasks(crops, corners, self.size_hw)

    def scaled(self, size_hw: SizeHW) -> np.ndarray:
        """(N, *size_hw) bool: the masks as a smaller or larger picture shows them."""
        steps = [
            ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
            for old, new in zip(self.size_hw, size_hw, strict=True)
        ]
        answer = np.zeros((len(self), *size_hw), bool)
        for number in range(len(self)):
            crop, corner = self.crop(number)
            spans = [
                slice(*np.searchsorted(step, (start, start + length)))
                for step, start, length in zip(steps, corner, crop.shape, strict=True)
            ]
            rows, columns = (
                step[span] - start for step, span, start in zip(steps, spans, corner, strict=True)
            )
            answer[number, spans[0], spans[1]] = crop[rows[:, None], columns]
        return answer

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64: pixels inside each mask."""
        return np.array([self.crop(number)[0].sum() for number in range(len(self))], np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes that the packed bits take."""
        return sum(bits.nbytes for bits in self._bits)

    def run_lengths(self, number: int) -> list[int]:
        """COCO's counts: pixels column by column, outside first, then inside, in turns."""
        crop, (top, left) = self.crop(number)
        height, width = self.size_hw
        edges = np.zeros((crop.shape[1], crop.shape[0] + 1), np.int8)  # w h+1: column by column
        edges[:, :-1] = crop.T
        edges[:, 1:] -= crop.T.view(np.int8)
        columns, rows = np.nonzero(edges)
        places = (columns + left) * height + rows + top  # starts and ends of runs, in turns
        # A run that reaches the bottom goes on where the next column starts with one.
        meets = np.flatnonzero(places[1:] == places[:-1])
        places = np.delete(places, np.concatenate((meets, meets + 1)))
        counts = np.diff(places, prepend=0, append=height * width).tolist()
        return counts if counts[-1] or len(counts) == 1 else counts[:-1]

    def to_coco(self, number: int) -> dict[str, Any]:
        """One mask as COCO's compressed run lengths: {"size": [H, W], "counts": text}."""
        # Its C code writes the text; only this needs it.
        from faster_coco_eval.core import mask as coco_mask

        plain = {"size": list(self.size_hw), "counts": self.run_lengths(number)}
        packed = coco_mask.frPyObjects(plain, *self.size_hw)
        return {"size": list(self.size_hw), "counts": packed["counts"].decode("ascii")}

    def __repr__(self) -> str:
        return f"PackedMasks({len(self)} of {self.size_hw[0]}x{self.size_hw[1]}, {self.nbytes} B)"

    def _add(self, crop: np.ndarray, top: int, left: int) -> None:
        rows = np.flatnonzero(crop.any(axis=1))
        columns = np.flatnonzero(crop.any(axis=0))
        if len(rows) == 0:
            crop = crop[:0, :0]
        else:
            crop = crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            top, left = top + int(rows[0]), left + int(columns[0])
        self._shapes.append((crop.shape[0], crop.shape[1]))
        self._corners.append((top, left))
        self._bits.append(np.packbits(crop))
