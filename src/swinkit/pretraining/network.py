"""Masked image modeling with a Swin backbone (SimMIM, 2111.09886), tensors in, tensors out.

Legend: B batch, H W pixels, h w patches, L tokens of the last map, C its channels, s its stride in
pixels, K channels of the reconstruction.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.pretraining.config import MaskedImageConfig
from swinkit.settings import SizeHW
from swinkit.windows.layout import ceil_div

EPSILON = 1e-5  # beside the number of hidden pixels
VARIANCE_EPSILON = 1e-6


class MaskedImageDecoder(nn.Module):
    """A 1x1 convolution and a pixel shuffle: each token of the last map becomes s x s pixels."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.projection = nn.Conv2d(channels, stride**2 * out_channels, 1)

    def forward(self, tokens: Tensor, size_hw: SizeHW) -> Tensor:
        """`B L C` -> `B K H W`, cut to the size of the image."""
        height, width = size_hw
        grid = (ceil_div(height, self.stride), ceil_div(width, self.stride))
        maps = tokens.transpose(1, 2).unflatten(2, grid)  # B C H/s W/s
        pixels: Tensor = F.pixel_shuffle(self.projection(maps), self.stride)
        return pixels[:, :, :height, :width]


class MaskedImageNetwork(nn.Module):
    """The backbone sees an image with hidden squares, the decoder fills them in.

    A learned token stands for each hidden patch. The loss is the mean absolute difference from the
    pixels, over hidden pixels alone. Images of any size: the paper's code takes squares only.

    Args:
        config: architecture.

    Source: models/simmim.py of the official repository.
    """

    def __init__(self, config: MaskedImageConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.backbone = SwinBackbone(config.backbone)
        self.mask_token = nn.Parameter(
            nn.init.trunc_normal_(torch.empty(1, 1, config.backbone.embed_dim), std=0.02)
        )
        self.decoder = MaskedImageDecoder(
            config.backbone.channels[-1], config.out_channels, config.backbone.strides[-1]
        )

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`B in_channels H W` and the mask `B h w` bool -> the reconstruction `B K H W`.

        Without a mask the network sees the whole image. Of a network with normalized targets the
        reconstruction is normalized; see `targets`.
        """
        if mask is not None:
            mask = mask.to(image.device)
        tokens = self.backbone.forward_last(image, mask=mask, mask_token=self.mask_token)
        return self.decoder(tokens, (image.shape[2], image.shape[3]))

    def targets(self, image: Tensor) -> Tensor:
        """What the reconstruction should be, `B K H W`.

        Raises:
            ConfigError: images of other channels than the decoder makes.
        """
        if image.shape[1] != self.config.out_channels:
            raise ConfigError(
                f"the decoder makes {self.config.out_channels} channels, the images have "
                f"{image.shape[1]}; take the backbone alone, or a model for such images"
            )
        if self.config.neighborhood is None:
            return image
        mean, deviation = local_statistics(image, self.config.neighborhood)
        return (image - mean) / deviation

    def loss(self, image: Tensor, mask: Tensor) -> Tensor:
        """Of a batch `B in_channels H W` with its mask `B h w` bool: a single number."""
        return masked_l1(self(image, mask).float(), self.targets(image), self.hidden(mask, image))

    def hidden(self, mask: Tensor, image: Tensor) -> Tensor:
        """`B h w` patches -> `B 1 H W` bool pixels."""
        side = self.config.backbone.patch_size
        pixels = mask.repeat_interleave(side, 1).repeat_interleave(side, 2)
        return pixels[:, None, : image.shape[2], : image.shape[3]]


def masked_l1(reconstruction: Tensor, targets: Tensor, hidden: Tensor) -> Tensor:
    """Mean absolute difference over the hidden pixels of the whole batch.

    Args:
        reconstruction, targets: `B K H W`.
        hidden: `B 1 H W` bool.
    """
    difference = (targets - reconstruction).abs() * hidden
    return difference.sum() / (hidden.sum() + EPSILON) / targets.shape[1]


def local_statistics(image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation around each pixel, `B K H W` each.

    Over the side x side pixels around it that lie inside the image. Source: norm_targets in
    models/simmim.py of the official repository.
    """
    count = _around(torch.ones_like(image[:1, :1]), side, counted=True)  # 1 1 H W
    mean = _around(image, side)
    variance = (_around(image.square(), side) - mean.square()) * count / (count - 1)
    return mean, (variance.clamp(min=0) + VARIANCE_EPSILON).sqrt()


def _around(image: Tensor, side: int, *, counted: bool = False) -> Tensor:
    """The mean around each pixel, rows first and then columns; or, of ones, how many there are."""
    for kernel in ((side, 1), (1, side)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        image = F.avg_pool2d(image, kernel, 1, padding, count_include_pad=counted)
    return image * side**2 if counted else image
