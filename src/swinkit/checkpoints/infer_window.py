"""Window and image size of each stage: from bias tables, derived buffers, or what stands beside.

Legend: M window (Mh, Mw), T = Mh * Mw tokens, nW windows.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from swinkit.backbones.config import SmallMapRule, per_stage
from swinkit.checkpoints.keymap import NativeState
from swinkit.checkpoints.sidecar import IMAGE_OF_WINDOW, WINDOW_OF_IMAGE, Facts
from swinkit.errors import CheckpointError
from swinkit.settings import SizeHW


class WantedSizes(Protocol):
    @property
    def image_hw(self) -> SizeHW | None: ...
    @property
    def window_size(self) -> Any: ...
    @property
    def pretrained_window_size(self) -> Any: ...


def map_hw(image_hw: SizeHW, patch: int, stage: int) -> SizeHW:
    """Tokens of a stage's map: each merging halves, rounding up."""
    rows, columns = (-(-side // patch) for side in image_hw)
    for _ in range(stage):
        rows, columns = -(-rows // 2), -(-columns // 2)
    return rows, columns


def fit_window(window: SizeHW, size_hw: SizeHW, rule: SmallMapRule) -> SizeHW:
    """The window that the source's constructor builds for a map of `size_hw`."""
    if rule == "keep":
        return window
    if rule == "shrink_both":
        side = min(size_hw)
        return (side, side) if side <= min(window) else window
    return min(window[0], size_hw[0]), min(window[1], size_hw[1])


def window_from_index(index: Tensor, rows: int | None) -> SizeHW | None:
    """Window of a relative position index; `rows` = (2 Mh - 1)(2 Mw - 1) where it is known."""
    tokens = math.isqrt(index.numel())
    first = index.reshape(tokens, tokens)[0].tolist()
    # Along the first row of the window the index falls by 1, at its end by more.
    width = next((k for k in range(1, tokens) if first[0] - first[k] != k), tokens)
    height, rest = divmod(tokens, width)
    if rest or (rows is not None and (2 * height - 1) * (2 * width - 1) != rows):
        return None
    return height, width


def windows_v1(
    native: NativeState, stages: int, wanted: WantedSizes, where: str, guesses: list[str]
) -> tuple[SizeHW, ...]:
    """From the bias tables; rectangular ones need the index buffer or window_size=."""
    windows: list[SizeHW] = []
    window: SizeHW | None
    for stage in range(stages):
        table = native.tensors.get(f"stages.{stage}.blocks.0.attention.position_bias.table")
        if table is None:
            raise CheckpointError(f"{where}: stage {stage} has no relative position bias table")
        rows = int(table.shape[0])
        index = native.derived.get((stage, "relative_position_index"))
        window = window_from_index(index, rows) if index is not None else None
        side = math.isqrt(rows)
        if window is None and side * side == rows and side % 2:
            window = ((side + 1) // 2, (side + 1) // 2)
        if window is None:
            window = _asked(wanted.window_size, stages, stage, rows)
        if window is None:
            raise CheckpointError(
                f"{where}: stage {stage} has a bias table of {rows} rows, which fits no square "
                "window; give window_size=(height, width)"
            )
        windows.append(window)
    return tuple(windows)


def _asked(window_size: Any, stages: int, stage: int, rows: int) -> SizeHW | None:
    if window_size is None:
        return None
    height, width = per_stage(window_size, stages, "window_size", 1)[stage]
    return (height, width) if (2 * height - 1) * (2 * width - 1) == rows else None


def windows_v2(
    native: NativeState,
    stages: int,
    patch: int,
    rule: SmallMapRule,
    facts: Facts | None,
    wanted: WantedSizes,
    guesses: list[str],
    notes: list[str],
) -> tuple[tuple[SizeHW, ...], tuple[SizeHW, ...], SizeHW]:
    """(windows, pretrained windows, image size); V2's parameters alone tell none of them."""
    buffers = [window_of_buffers(native, stage) for stage in range(stages)]
    known = [window for window in buffers if window is not None]
    if len(known) == stages:
        windows = tuple(known)
        image_hw = image_from(native, windows, patch, facts, wanted, notes)
    else:
        chosen, image_hw = _chosen_window(native, facts, wanted, guesses, notes, stages)
        explicit = len(set(chosen)) > 1
        windows = tuple(
            window if explicit else fit_window(window, map_hw(image_hw, patch, stage), rule)
            for stage, window in enumerate(chosen)
        )
    pretrained = _pretrained(native, windows, patch, facts, wanted, guesses, notes)
    return windows, pretrained, image_hw


def window_of_buffers(native: NativeState, stage: int) -> SizeHW | None:
    table = native.derived.get((stage, "relative_coords_table"))
    if table is not None and table.dim() == 4:
        return (table.shape[1] + 1) // 2, (table.shape[2] + 1) // 2
    index = native.derived.get((stage, "relative_position_index"))
    return None if index is None else window_from_index(index, None)


def _chosen_window(
    native: NativeState,
    facts: Facts | None,
    wanted: WantedSizes,
    guesses: list[str],
    notes: list[str],
    stages: int,
) -> tuple[tuple[SizeHW, ...], SizeHW]:
    """Window per stage before shrinking, and image size: argument, settings, or convention."""
    told = facts if facts and facts.window_size else None
    if told and told.window_size is not None:
        window: Any = told.window_size
        (notes if told.proven else guesses).append(f"window {window} from {told.said_by}")
        side = _largest(window)
        image_hw = told.image_hw or wanted.image_hw or _image_by_convention(side, guesses)
    elif wanted.window_size is not None:
        window = wanted.window_size
        image_hw = (
            wanted.image_hw
            or (facts.image_hw if facts else None)
            or _image_by_convention(_largest(window), guesses)
        )
        notes.append(f"window {window} as given")
    else:
        image_hw = wanted.image_hw or (facts.image_hw if facts else None) or (256, 256)
        side = min(image_hw)
        window = WINDOW_OF_IMAGE.get(side, max(1, side // 32))
        guesses.append(
            f"window {window}, by the published convention for {side} pixels; V2 weights do not "
            "tell it, give window_size= to be sure"
        )
    return per_stage(window, stages, "window_size", 1), image_hw


def _largest(window: Any) -> int:
    if isinstance(window, Sequence):
        return max(_largest(item) for item in window)
    return int(window)


def _image_by_convention(window: int, guesses: list[str]) -> SizeHW:
    side = IMAGE_OF_WINDOW.get(window, 32 * window)
    guesses.append(
        f"image size {side}, by the published convention for window {window}; give image_size="
    )
    return side, side


def _pretrained(
    native: NativeState,
    windows: tuple[SizeHW, ...],
    patch: int,
    facts: Facts | None,
    wanted: WantedSizes,
    guesses: list[str],
    notes: list[str],
) -> tuple[SizeHW, ...]:
    """Window whose coordinates each stage's bias MLP was trained on; (0, 0) = its own."""
    stages = len(windows)
    told: Any = wanted.pretrained_window_size
    image = None
    if told is None:
        tables = [native.derived.get((i, "relative_coords_table")) for i in range(stages)]
        if all(table is not None for table in tables):
            return tuple(
                pretrained_from_table(table, window)
                for table, window in zip(tables, windows, strict=True)
                if table is not None
            )
        if facts is None or facts.pretrained_window_size is None:
            guesses.append(
                "no pretrained window; V2 weights do not tell it, give pretrained_window_size="
            )
            return ((0, 0),) * stages
        told, image = facts.pretrained_window_size, facts.pretrained_image
    if not isinstance(told, int) or told == 0:
        sizes = per_stage(told, stages, "pretrained_window_size", 0)
    else:
        # The official lists clamp the last stage: 12 at 192 pixels becomes 12, 12, 12, 6.
        side = image or IMAGE_OF_WINDOW.get(told, 32 * told)
        clamped = [min(told, *map_hw((side, side), patch, stage)) for stage in range(stages)]
        sizes = tuple((value, value) for value in clamped)
        if image is None and min(clamped) < told:
            guesses.append(
                f"pretrained windows {clamped}, taking {told} as trained at {side} pixels"
            )
    return tuple(
        (0, 0) if size == window else size for size, window in zip(sizes, windows, strict=True)
    )


def pretrained_from_table(table: Tensor, window: SizeHW) -> SizeHW:
    """Invert V2's log-spaced coordinates: t = log2(1 + 8 (M - 1) / (P - 1)) / 3 at the far end."""
    sizes = []
    for axis, side in enumerate(window):
        far = float(table[..., axis].max())
        if side == 1 or not math.isfinite(far) or far <= 0:
            sizes.append(side)
        else:
            sizes.append(round(8 * (side - 1) / (2 ** (3 * far) - 1)) + 1)
    return (0, 0) if tuple(sizes) == window else (sizes[0], sizes[1])


def image_from(
    native: NativeState,
    windows: tuple[SizeHW, ...],
    patch: int,
    facts: Facts | None,
    wanted: WantedSizes,
    notes: list[str],
) -> SizeHW:
    """Size the file was made for; it decides preprocessing and the grid of positions."""
    if facts and facts.image_hw and facts.proven:
        return facts.image_hw
    position = native.tensors.get("absolute_position")
    if position is not None:
        if position.dim() == 4:
            return int(position.shape[1]) * patch, int(position.shape[2]) * patch
        side = math.isqrt(int(position.shape[1]))
        if side * side == position.shape[1]:
            return side * patch, side * patch
        if wanted.image_hw:
            return wanted.image_hw
    for stage, window in enumerate(windows):
        mask = native.derived.get((stage, "attn_mask"))
        count = 0 if mask is None else math.isqrt(int(mask.shape[0]))
        if mask is not None and count * count == mask.shape[0]:
            scale = patch * 2**stage
            return count * window[0] * scale, count * window[1] * scale
    for stage, window in enumerate(windows[1:], start=1):
        if max(window) < min(windows[0]):
            side = min(window) * patch * 2**stage
            return side, side
    if facts and facts.image_hw:
        return facts.image_hw
    if wanted.image_hw:
        return wanted.image_hw
    largest = max(windows[0])
    side = {12: 384, 14: 224}.get(largest, IMAGE_OF_WINDOW.get(largest, 32 * largest))
    notes.append(f"preprocessing for {side} pixels, by the convention for window {largest}")
    return side, side
