"""Window and image size of each stage: from bias tables, derived buffers, or what stands beside.

Legend: M window (Mh, Mw), T = Mh * Mw tokens, nW windows.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from swinkit.backbones.config import SmallMapRule, per_stage
from swinkit.checkpoints.sources.tables import Tensors, Version
from swinkit.errors import CheckpointError
from swinkit.settings import SizeHW
from swinkit.task.weights import Evidence

# One integer, one pair, or one of them per stage.
WindowSize: TypeAlias = int | SizeHW | Sequence[int] | Sequence[SizeHW]
Windows: TypeAlias = tuple[SizeHW, ...]

# (image size, window) of the published V2 training runs, for files that say nothing.
IMAGE_OF_WINDOW = {6: 192, 7: 224, 8: 256, 12: 192, 16: 256, 24: 384}
WINDOW_OF_IMAGE = {192: 12, 256: 8, 384: 24}
_IN_NAME = re.compile(r"window(\d{1,3})(?:to(\d{1,3}))?[_-](\d{1,4})(?:to(\d{1,4}))?(?!\d)")


@dataclass(frozen=True, kw_only=True)
class StatedSizes:
    """Windows and image size as something beside the tensors states them.

    Attributes:
        stated_by: whom the report names.
        proven: whether it belongs to the weights (config.json) or only suggests (a file name).
        window_size, pretrained_window_size: as the constructor of the source takes them.
        image_hw, pretrained_image: pixels.
    """

    stated_by: str
    proven: bool
    window_size: int | tuple[int, ...] | None = None
    pretrained_window_size: int | tuple[int, ...] | None = None
    image_hw: SizeHW | None = None
    pretrained_image: int | None = None


@dataclass(kw_only=True)
class BackboneEvidence(Evidence):
    """Everything that tells the architecture of a backbone.

    Attributes:
        version: of Swin.
        tensors: by native name, with a classifier's head.
        derived: first buffer of the file found per (stage, what it is); never a weight.
        rule: for maps that fit in one window, as the source has it.
        shrinks: whether its constructor shrinks windows by that rule.
        stated: by what stands beside the weights.
        image_hw, window_size, pretrained_window_size: as the caller gives them, to fill what the
            file does not tell.
    """

    version: Version
    tensors: Tensors = field(default_factory=dict)
    derived: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    rule: SmallMapRule
    shrinks: bool = True
    stated: StatedSizes | None = None
    image_hw: SizeHW | None = None
    window_size: WindowSize | None = None
    pretrained_window_size: WindowSize | None = None


def sizes_from_name(name: str, stated_by: str, *, proven: bool) -> StatedSizes | None:
    """Read `window12to24_192to384` or `window7_224` in a published name."""
    found = _IN_NAME.search(name)
    if found is None:
        return None
    first_window, window, first_image, image = (int(text) if text else 0 for text in found.groups())
    side = image or first_image
    return StatedSizes(
        stated_by=stated_by,
        proven=proven,
        window_size=window or first_window,
        pretrained_window_size=first_window if window else 0,
        image_hw=(side, side),
        pretrained_image=first_image if window else None,
    )


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


def fit_windows(
    asked: WindowSize, stages: int, image_hw: SizeHW, patch: int, rule: SmallMapRule
) -> Windows:
    """One window for all stages, shrunk to the maps; several stay as they are."""
    windows = per_stage(asked, stages, "window_size", 1)
    if len(set(windows)) > 1:
        return windows
    return tuple(
        fit_window(window, map_hw(image_hw, patch, stage), rule)
        for stage, window in enumerate(windows)
    )


def shrunk_notes(asked: WindowSize, fitted: Windows, image_hw: SizeHW) -> list[str]:
    """Which stages have another window than the one that was asked for."""
    stages = [
        f"{stage + 1} to {window[0]}x{window[1]}"
        for stage, (window, whole) in enumerate(
            zip(fitted, per_stage(asked, len(fitted), "window_size", 1), strict=True)
        )
        if window != whole
    ]
    if not stages:
        return []
    return [
        f"at {image_hw[0]}x{image_hw[1]} the source's constructor shrinks window {asked} of stage "
        f"{', '.join(stages)}"
    ]


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


def windows_v1(evidence: BackboneEvidence, stages: int) -> Windows:
    """From the bias tables; rectangular ones need the index buffer or window_size=."""
    return tuple(_window_v1(evidence, stages, stage) for stage in range(stages))


def _window_v1(evidence: BackboneEvidence, stages: int, stage: int) -> SizeHW:
    table = evidence.tensors.get(f"stages.{stage}.blocks.0.attention.position_bias.table")
    if table is None:
        raise CheckpointError(
            f"{evidence.origin}: stage {stage} has no relative position bias table"
        )
    rows = int(table.shape[0])
    index = evidence.derived.get((stage, "position index"))
    window = None if index is None else window_from_index(index, rows)
    if window is not None:
        return window
    side = math.isqrt(rows)
    if side * side == rows and side % 2:
        return (side + 1) // 2, (side + 1) // 2
    if evidence.window_size is not None:
        height, width = per_stage(evidence.window_size, stages, "window_size", 1)[stage]
        if (2 * height - 1) * (2 * width - 1) == rows:
            return height, width
    raise CheckpointError(
        f"{evidence.origin}: stage {stage} has a bias table of {rows} rows, which fits no square "
        "window; give window_size=(height, width)"
    )


def windows_v2(evidence: BackboneEvidence, stages: int, patch: int) -> tuple[Windows, SizeHW]:
    """(windows, image size); V2's parameters alone tell neither."""
    known = [_window_of_buffers(evidence, stage) for stage in range(stages)]
    windows = tuple(window for window in known if window is not None)
    if len(windows) == stages:
        return windows, image_size(evidence, windows, patch)
    asked, image_hw = _window_by_convention(evidence)
    rule = evidence.rule if evidence.shrinks else "keep"
    fitted = fit_windows(asked, stages, image_hw, patch, rule)
    if evidence.window_size is not None:
        evidence.notes += shrunk_notes(asked, fitted, image_hw)
    return fitted, image_hw


def _window_of_buffers(evidence: BackboneEvidence, stage: int) -> SizeHW | None:
    table = evidence.derived.get((stage, "coordinates"))
    if table is not None and table.dim() == 4:
        return (table.shape[1] + 1) // 2, (table.shape[2] + 1) // 2
    index = evidence.derived.get((stage, "position index"))
    return None if index is None else window_from_index(index, None)


def _window_by_convention(evidence: BackboneEvidence) -> tuple[WindowSize, SizeHW]:
    """Window before shrinking, and image size: stated, as given, or by convention."""
    stated, window, image_hw = evidence.stated, evidence.window_size, evidence.image_hw
    stated_hw = stated.image_hw if stated else None
    if stated and stated.window_size:
        lines = evidence.notes if stated.proven else evidence.guesses
        lines.append(f"window {stated.window_size} from {stated.stated_by}")
        image_hw = stated_hw or image_hw or _image_by_convention(evidence, stated.window_size)
        return stated.window_size, image_hw
    if window is not None:
        image_hw = image_hw or stated_hw or _image_by_convention(evidence, window)
        evidence.notes.append(f"window {window} as given")
        return window, image_hw
    image_hw = image_hw or stated_hw or (256, 256)
    side = min(image_hw)
    window = WINDOW_OF_IMAGE.get(side, max(1, side // 32))
    evidence.guesses.append(
        f"window {window}, by the published convention for {side} pixels; V2 weights do not "
        "tell it, give window_size= to be sure"
    )
    return window, image_hw


def _image_by_convention(evidence: BackboneEvidence, window: WindowSize) -> SizeHW:
    largest = _largest(window)
    side = IMAGE_OF_WINDOW.get(largest, 32 * largest)
    evidence.guesses.append(
        f"image size {side}, by the published convention for window {largest}; give image_size="
    )
    return side, side


def _largest(window: WindowSize) -> int:
    return max(_largest(item) for item in window) if isinstance(window, Sequence) else window


def pretrained_windows(evidence: BackboneEvidence, windows: Windows, patch: int) -> Windows:
    """Window whose coordinates each stage's bias MLP was trained on; (0, 0) = its own."""
    asked, image = evidence.pretrained_window_size, None
    if asked is None:
        tables = [evidence.derived.get((stage, "coordinates")) for stage in range(len(windows))]
        present = [table for table in tables if table is not None]
        if len(present) == len(windows):
            return tuple(map(pretrained_from_table, present, windows))
        if evidence.stated is None or evidence.stated.pretrained_window_size is None:
            evidence.guesses.append(
                "no pretrained window; V2 weights do not tell it, give pretrained_window_size="
            )
            return ((0, 0),) * len(windows)
        asked, image = evidence.stated.pretrained_window_size, evidence.stated.pretrained_image
    sizes = per_stage(asked, len(windows), "pretrained_window_size", 0)
    if isinstance(asked, int) and asked > 0:
        # The official lists clamp the last stage: 12 at 192 pixels becomes 12, 12, 12, 6.
        side = image or IMAGE_OF_WINDOW.get(asked, 32 * asked)
        maps = (map_hw((side, side), patch, stage) for stage in range(len(windows)))
        clamped = [min(asked, *size_hw) for size_hw in maps]
        sizes = tuple((value, value) for value in clamped)
        if image is None and min(clamped) < asked:
            evidence.guesses.append(
                f"pretrained windows {clamped}, taking {asked} as trained at {side} pixels"
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


def image_size(evidence: BackboneEvidence, windows: Windows, patch: int) -> SizeHW:
    """Size the file was made for; it decides preprocessing and the grid of positions."""
    stated = evidence.stated.image_hw if evidence.stated else None
    if stated and evidence.stated and evidence.stated.proven:
        return stated
    from_tensors = _image_from_positions(evidence, patch) or _image_from_windows(
        evidence, windows, patch
    )
    if from_tensors or stated or evidence.image_hw:
        return from_tensors or stated or evidence.image_hw  # type: ignore[return-value]
    largest = max(windows[0])
    side = {12: 384, 14: 224}.get(largest, IMAGE_OF_WINDOW.get(largest, 32 * largest))
    evidence.notes.append(
        f"preprocessing for {side} pixels, by the convention for window {largest}"
    )
    return side, side


def _image_from_positions(evidence: BackboneEvidence, patch: int) -> SizeHW | None:
    """From the absolute position embedding, (1, h, w, C) or flat."""
    position = evidence.tensors.get("absolute_position")
    if position is None:
        return None
    if position.dim() == 4:
        return int(position.shape[1]) * patch, int(position.shape[2]) * patch
    side = math.isqrt(int(position.shape[1]))
    if side * side == position.shape[1]:
        return side * patch, side * patch
    return evidence.image_hw


def _image_from_windows(evidence: BackboneEvidence, windows: Windows, patch: int) -> SizeHW | None:
    """From the number of windows in a mask, or from windows that shrank to their maps."""
    for stage, window in enumerate(windows):
        mask = evidence.derived.get((stage, "shift mask"))
        count = 0 if mask is None else math.isqrt(int(mask.shape[0]))
        if mask is not None and count * count == mask.shape[0]:
            scale = patch * 2**stage
            return count * window[0] * scale, count * window[1] * scale
    for stage, window in enumerate(windows[1:], start=1):
        if max(window) < min(windows[0]):
            side = min(window) * patch * 2**stage
            return side, side
    return None
