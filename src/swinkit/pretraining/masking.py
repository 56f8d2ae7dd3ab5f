"""Which squares of an image are hidden (2111.09886, section 3.2). h w patches of the model."""

import math
from dataclasses import replace

import numpy as np

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.pretraining.config import (
    PUBLISHED_NEIGHBORHOOD,
    PUBLISHED_PATCH,
    PUBLISHED_RATIO,
    MaskedImageConfig,
)
from swinkit.settings import SizeHW

LEAST_CELLS = 4  # along a side, where the image has room for them


def masked_config(
    backbone: SwinConfig,
    size_hw: SizeHW,
    *,
    patch: int | None = None,
    ratio: float = PUBLISHED_RATIO,
    normalize_targets: bool | None = None,
    neighborhood: int = PUBLISHED_NEIGHBORHOOD,
) -> MaskedImageConfig:
    """The masked image model on a backbone, for images of a size.

    Args:
        patch: side in pixels of the squares that are hidden; None takes 32, or what fits the
            images.
        normalize_targets: None does so for V2, as its authors.
        neighborhood: side in pixels of the surroundings that normalize.

    Raises:
        ConfigError: squares that do not fit, or a ratio that hides all or nothing.
    """
    side = settle_patch(size_hw, patch, backbone.patch_size)
    check_hidden(size_hw, side, ratio)
    if normalize_targets is None:
        normalize_targets = backbone.version == 2
    return MaskedImageConfig(
        backbone=replace(backbone, norm_stages=(backbone.num_stages - 1,)),
        out_channels=backbone.in_channels,
        mask_patch=side,
        mask_ratio=ratio,
        neighborhood=neighborhood if normalize_targets else None,
    )


def draw_mask(
    size_hw: SizeHW,
    *,
    mask_patch: int,
    model_patch: int,
    ratio: float,
    random: np.random.RandomState,
) -> np.ndarray:
    """(h, w) bool, True where a patch of the model is hidden.

    The first ceil(cells * ratio) of a random order of the squares are; the same state of the
    generator gives the same mask as MaskGenerator in data_simmim_pt.py of the official repository.

    Args:
        size_hw: of the image in pixels; both sides are multiples of `mask_patch`.
        mask_patch: side of a square in pixels, a multiple of `model_patch`.
        model_patch: side of a patch of the model in pixels.
        ratio: part of the squares that is hidden.
        random: NumPy's legacy generator, which the official code draws from.
    """
    rows, columns = size_hw[0] // mask_patch, size_hw[1] // mask_patch
    order = random.permutation(rows * columns)
    cells = np.zeros(rows * columns, bool)
    cells[order[: count_hidden(rows * columns, ratio)]] = True
    scale = mask_patch // model_patch
    return cells.reshape(rows, columns).repeat(scale, 0).repeat(scale, 1)


def count_hidden(cells: int, ratio: float) -> int:
    """Squares that are hidden; rounded up in double precision, as the official code does."""
    return math.ceil(cells * ratio)


def settle_patch(size_hw: SizeHW, wanted: int | None, model_patch: int) -> int:
    """Side of the squares for images of a size.

    Args:
        wanted: by the user; None takes the paper's 32 pixels, or what images too small or uneven
            for it have room for: the largest that leaves four squares along each side, or else two.

    Raises:
        ConfigError: images that no square fits, or not the one that is wanted.
    """
    size = f"{size_hw[0]}x{size_hw[1]}"
    fitting = [
        side
        for side in range(model_patch, min(size_hw) + 1, model_patch)
        if size_hw[0] % side == 0 and size_hw[1] % side == 0 and side < max(size_hw)
    ]
    if wanted is not None:
        if wanted in fitting:
            return wanted
        known = ", ".join(map(str, fitting)) or f"images of {_near(size_hw, model_patch)}"
        raise ConfigError(
            f"mask squares of {wanted} pixels do not fill images of {size} with patches of "
            f"{model_patch}; choose {known}"
        )
    for cells in (LEAST_CELLS, 2):
        found = [side for side in fitting if side <= min(PUBLISHED_PATCH, min(size_hw) // cells)]
        if found:
            return found[-1]
    raise ConfigError(
        f"images of {size} pixels leave no room for squares to hide, which are made of whole "
        f"patches of {model_patch} pixels; set model.image_size to {_near(size_hw, model_patch)}"
    )


def check_hidden(size_hw: SizeHW, mask_patch: int, ratio: float) -> None:
    """Refuse a ratio that hides every square or none of an image. Raises ConfigError."""
    cells = (size_hw[0] // mask_patch) * (size_hw[1] // mask_patch)
    hidden = count_hidden(cells, ratio)
    if not 0 < hidden < cells:
        raise ConfigError(
            f"a mask ratio of {ratio} hides {hidden} of the {cells} squares of {mask_patch} pixels "
            f"in images of {size_hw[0]}x{size_hw[1]}; choose another ratio or smaller squares"
        )


def _near(size_hw: SizeHW, model_patch: int) -> int:
    """A side near the wanted one that squares of four patches fill."""
    square = 4 * model_patch
    return max(4 * square, round(min(size_hw) / square) * square)
