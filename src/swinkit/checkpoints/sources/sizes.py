"""At which image sizes a source and swinkit give the same numbers, and how a note says it.

swinkit pads first, then shifts, and decides the shift by the map at hand; padding and shifts act
along each axis alone, so each side of an image can be looked at by itself.
"""

from collections.abc import Callable

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.infer_window import map_hw
from swinkit.settings import SizeHW

_SHOWN = 4  # ranges named in a note


def same_shifts(
    config: SwinConfig, built: int, side: int, axis: int, *, rolls_first: bool = False
) -> bool:
    """Whether a source that keeps the shifts of its constructor computes as swinkit.

    Args:
        built: side in pixels that the source's constructor was given.
        side: side of the image, along axis 0 (down) or 1 (across).
        rolls_first: whether it shifts before it pads, so that a map must fill its windows.
    """
    for stage, depth in enumerate(config.depths):
        window = config.windows[stage][axis]
        tokens = map_hw((side, side), config.patch_size, stage)[0]
        shifts = map_hw((built, built), config.patch_size, stage)[0] > window
        if depth > 1 and (
            shifts != (tokens > window) or (rolls_first and shifts and tokens % window)
        ):
            return False
    return True


def size_note(image_hw: SizeHW, title: str, same: Callable[[int, int], bool], why: str) -> str:
    """One line: the sides at which outputs equal the source's, up to twice the image's.

    Args:
        same: whether a side, along an axis, gives the source's numbers.
    """
    texts = [
        _ranges([side for side in range(1, 2 * built + 1) if same(side, axis)])
        for axis, built in enumerate(image_hw)
    ]
    sides = f"height {texts[0]} and width {texts[1]}"
    if texts[0] == texts[1]:
        sides = f"height and width {texts[0]}"
    return f"outputs equal {title}'s at {sides} pixels; elsewhere they differ: {why}"


def _ranges(sides: list[int]) -> str:
    """129 to 256, 300; or none."""
    ranges: list[list[int]] = []
    for side in sides:
        if ranges and ranges[-1][1] == side - 1:
            ranges[-1][1] = side
        else:
            ranges.append([side, side])
    texts = [str(low) if low == high else f"{low} to {high}" for low, high in ranges[:_SHOWN]]
    more = ", ..." if len(ranges) > _SHOWN else ""
    return ", ".join(texts) + more if texts else "of no"
