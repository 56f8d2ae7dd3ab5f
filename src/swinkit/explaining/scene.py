"""What is looked at: a model, one prepared image, the windows of every block, one chosen patch.

Legend: H W pixels of the input, h w tokens of a map, nW windows, N heads, T tokens per window.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from swinkit.backbones.block import SwinBlock
from swinkit.backbones.stage import StagePlan, plan_stages
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.images.fitting import FittedImage
from swinkit.images.reading import ImageSource, describe, read_image
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel
from swinkit.windows.layout import WindowLayout


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A model in evaluation mode with one image.

    Attributes:
        model: of any task.
        image: (1, C, H, W), prepared, where the model is.
        picture_rgb: (H, W, 3) uint8, the same to be shown.
        name: of the image.
        pixel: (row, column) that is looked at, in pixels of the input.
    """

    model: TaskModel[Any]
    image: Tensor
    picture_rgb: np.ndarray
    name: str
    pixel: SizeHW

    @property
    def backbone(self) -> SwinBackbone:
        return self.model.backbone

    @property
    def image_hw(self) -> SizeHW:
        return self.image.shape[2], self.image.shape[3]

    @cached_property
    def plans(self) -> list[StagePlan]:
        """Windows of each stage, on the CPU."""
        grid_hw = self.backbone.patch_embed.grid_hw(self.image_hw)
        return plan_stages(self.backbone.config, grid_hw, torch.device("cpu"), fixed=True)

    def is_shifted(self, stage: int) -> bool:
        """Whether a block of the stage shifts its windows: the second, if there is one."""
        depth = self.backbone.config.depths[stage]
        return depth > 1 and self.plans[stage].layouts[1].shift_hw != (0, 0)

    def layout(self, stage: int, block: int) -> WindowLayout:
        """Windows of a block."""
        return self.plans[stage].layouts[block % 2]

    def block(self, stage: int, block: int) -> SwinBlock:
        """A block of the backbone."""
        return cast(SwinBlock, self.backbone.get_submodule(f"stages.{stage}.blocks.{block}"))

    def token(self, stage: int) -> SizeHW:
        """(row, column) on a stage's map of the token that holds the chosen pixel."""
        stride = self.backbone.strides[stage]
        return self.pixel[0] // stride, self.pixel[1] // stride

    def look(self, names: Collection[str]) -> dict[str, Tensor]:
        """Named intermediates on the CPU, without gradients."""
        with torch.no_grad():
            found = self.backbone.intermediates(self.image, names)
        return {name: value.float().cpu() for name, value in found.items()}

    def blocks(self) -> list[tuple[int, int]]:
        """(stage, block) in order."""
        depths = self.backbone.config.depths
        return [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]


def prepare_scene(
    model: TaskModel[Any], source: ImageSource, patch: tuple[float, float] | None = None
) -> Scene:
    """The scene of an image as its model sees it.

    Args:
        patch: (row, column) of the chosen place, as shares of height and width in 0..1; None takes
            the center.

    Raises:
        ImageError: an unreadable image.
        ConfigError: a place outside the image.
    """
    row, column = patch or (0.5, 0.5)
    if not (0 <= row < 1 and 0 <= column < 1):
        raise ConfigError(f"patch is {row} {column}; give row and column as shares, 0 to below 1")
    fit: Any = model.preprocessing.for_channels(model.backbone.config.in_channels)
    name = describe(source)
    fitted: Any = fit(read_image(source, channels=fit.channels), name=name)
    if isinstance(fitted, FittedImage):
        prepared, inside = fitted.values, fitted.size_hw
    else:
        prepared, inside = fitted, fitted.shape[1:]
    picture = fit.restore(prepared)
    if picture.shape[2] != 3:
        picture = picture[:, :, :1].repeat(3, axis=2)
    weight = next(model.parameters())
    image = torch.from_numpy(prepared)[None].to(weight)
    pixel = (int(row * inside[0]), int(column * inside[1]))
    return Scene(model=model, image=image, picture_rgb=picture, name=name, pixel=pixel)
