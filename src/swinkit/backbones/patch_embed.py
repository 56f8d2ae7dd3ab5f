"""Patch partition and linear embedding (paper, section 3.1): H W 3 -> H/4 W/4 48 -> H/4 W/4 C.

Legend: B batch, H W pixels, p patch size, h w patches, L = h * w tokens, C channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.settings import SizeHW
from swinkit.windows.layout import ceil_div, is_fixed


class PatchEmbed(nn.Module):
    """Split an image into p x p patches and embed each linearly, with an optional LayerNorm.

    An image whose sides are no multiples of p is padded with zeros at bottom and right, as the
    detection fork does. Source: PatchEmbed in models/swin_transformer.py (official repository).
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int, *, norm: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Conv2d(in_channels, channels, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels) if norm else nn.Identity()

    def grid_hw(self, image_hw: SizeHW) -> SizeHW:
        """Patches along each axis for an image of that many pixels."""
        return ceil_div(image_hw[0], self.patch_size), ceil_div(image_hw[1], self.patch_size)

    def forward(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B L C`, row-major."""
        height, width = image.shape[-2:]
        if is_fixed(height, width):
            below, right = -height % self.patch_size, -width % self.patch_size
        else:  # patches that are not full are cut off again by the convolution's stride
            below = right = self.patch_size - 1
        if below or right:
            image = F.pad(image, (0, right, 0, below))
        return self.norm(self.projection(image).flatten(2).transpose(1, 2))
