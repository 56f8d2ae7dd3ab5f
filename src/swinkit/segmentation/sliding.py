"""Ways from images to scene logits: whole, sliding window, several scales and mirrored.

Legend: B batch, K classes, H W pixels. A model is anything that maps `B C H W` to `B K H W`.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.settings import SizeHW

Model = Callable[[Tensor], Tensor]


def whole(model: Model, image: Tensor, output_hw: SizeHW | None = None) -> Tensor:
    """`B C H W` in one pass -> logits `B K *output_hw`.

    The model enlarges its logits to the input's size; a second bilinear resizing brings them to
    `output_hw`, the original pixels (mmsegmentation resizes twice as well).
    """
    return _resized(model(image), output_hw)


def slide(
    model: Model,
    image: Tensor,
    window_hw: SizeHW,
    stride_hw: SizeHW,
    output_hw: SizeHW | None = None,
) -> Tensor:
    """`B C H W` in overlapping windows, logits averaged where they overlap -> `B K *output_hw`.

    Windows step by the stride; the last ones are moved back into the image. A window that is
    larger than the image is the image, and the result that of `whole`.

    Raises:
        ConfigError: a stride longer than the window, or sizes below 1.
    """
    check_windows(window_hw, stride_hw)
    height, width = image.shape[-2:]
    total: Tensor | None = None
    for top, bottom in spans(height, window_hw[0], stride_hw[0]):
        for left, right in spans(width, window_hw[1], stride_hw[1]):
            logits = model(image[..., top:bottom, left:right])
            if total is None:
                total = logits.new_zeros((*logits.shape[:2], height, width))
            total[..., top:bottom, left:right] += logits
    assert total is not None
    rows = coverage(height, window_hw[0], stride_hw[0], image.device)
    columns = coverage(width, window_hw[1], stride_hw[1], image.device)
    return _resized(total.div_(rows[:, None] * columns), output_hw)


def augmented(
    model: Model,
    images: Sequence[Tensor],
    output_hw: SizeHW,
    flip: bool = True,
    *,
    window_hw: SizeHW | None = None,
    stride_hw: SizeHW | None = None,
) -> Tensor:
    """Mean of the probabilities over several scales of one batch, mirrored too if asked.

    Args:
        images: `B C H W` for each scale.
        output_hw: size of the answer.
        flip: each scale also mirrored left to right.
        window_hw, stride_hw: slide over each scale instead of one pass.

    Returns:
        `B K *output_hw`, summing to 1 over K.

    Raises:
        ConfigError: no image.
    """
    if not images:
        raise ConfigError("augmented prediction needs at least one scale; got none")

    def logits(image: Tensor) -> Tensor:
        if window_hw is None:
            return model(image)
        return slide(model, image, window_hw, stride_hw or window_hw)

    total: Tensor | None = None
    for image in images:
        for mirrored in (False, True) if flip else (False,):
            # Mirrored back before the resizing, which is not symmetric to the last bit.
            maps = logits(image.flip(-1)).flip(-1) if mirrored else logits(image)
            probabilities = _resized(maps, output_hw).softmax(1)
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total.div_(len(images) * (2 if flip else 1))


def spans(length: int, window: int, stride: int) -> list[tuple[int, int]]:
    """(first, last + 1) of the windows along one axis, the last one moved back to fit."""
    steps = max(-(-(length - window) // stride), 0) + 1
    firsts = [max(min(step * stride, length - window), 0) for step in range(steps)]
    return [(first, min(first + window, length)) for first in firsts]


def coverage(length: int, window: int, stride: int, device: torch.device | None = None) -> Tensor:
    """(length,) float32: how many windows lie over each place of one axis."""
    counts = torch.zeros(length, device=device)
    for first, last in spans(length, window, stride):
        counts[first:last] += 1
    return counts


def check_windows(window_hw: SizeHW, stride_hw: SizeHW) -> None:
    """Refuse windows that leave gaps.

    Raises:
        ConfigError: a stride longer than the window, or sizes below 1.
    """
    if any(not 1 <= step <= side for step, side in zip(stride_hw, window_hw, strict=True)):
        raise ConfigError(
            f"window is {window_hw} and stride {stride_hw} (height, width); a stride must be at "
            "least 1 and no longer than its window"
        )


def _resized(logits: Tensor, size_hw: SizeHW | None) -> Tensor:
    if size_hw is None or tuple(logits.shape[-2:]) == tuple(size_hw):
        return logits
    return F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
