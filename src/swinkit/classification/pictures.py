"""Pictures of a classifier: training batch, worst mistakes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from swinkit.classification.report import Mistake
from swinkit.errors import ImageError
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image
from swinkit.pictures.figures import image_grid, shorten


def batch_preview(
    images: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    *,
    most: int = 16,
) -> Figure:
    """Training images as the network sees them, with the labels they carry.

    Args:
        images: (B, C, H, W) normalised; varied and mixed.
        targets: (B, K) soft targets.
        class_names: K names; may be empty.
        preprocessing: whose normalisation is undone.
        most: images to show.
    """
    shown = [preprocessing.restore(image) for image in images[:most]]
    titles = [_describe_target(target, class_names) for target in targets[:most]]
    return image_grid(shown, titles, "a training batch, as the network sees it")


def _describe_target(target: np.ndarray, class_names: Sequence[str]) -> str:
    # What label smoothing spreads evenly is not a label.
    above = target - target.min()
    parts = above / above.sum() if above.sum() > 0 else above
    order = [index for index in np.argsort(-parts)[:2] if parts[index] > 0.005]
    names = [class_names[index] if class_names else f"class {index}" for index in order]
    if len(order) == 1:
        return shorten(names[0])
    return "\n".join(
        f"{parts[index]:.0%} {shorten(name)}" for index, name in zip(order, names, strict=True)
    )


def worst_mistakes(mistakes: Sequence[Mistake], channels: int = 3) -> Figure:
    """The pictures that were classified worst, with the wrong and the right name.

    Args:
        mistakes: worst first; an image that is gone by now leaves its place empty.
        channels: to read; of more than three bands the first three are shown.
    """
    shown = [_picture(Path(mistake.path), channels) for mistake in mistakes]
    titles = [
        f"{shorten(item.predicted)} {item.confidence:.0%}\n"
        f"is {shorten(item.truth)} {item.truth_probability:.0%}\n{shorten(Path(item.path).name)}"
        for item in mistakes
    ]
    heading = "worst mistakes: what was said, what it is, which file"
    return image_grid(shown, titles, heading if mistakes else "no mistakes")


def _picture(path: Path, channels: int) -> np.ndarray | None:
    try:
        pixels = read_image(path, channels=channels)
    except ImageError:
        return None
    if pixels.shape[2] not in (1, 3):
        pixels = pixels[:, :, :3] if pixels.shape[2] > 3 else pixels[:, :, :1]
    return pixels
