"""Semantic segmentation with a Swin backbone, tensors in, tensors out: a class for every pixel.

Legend: B batch, H W pixels, C channels, K classes.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.segmentation.config import SegmentationLossConfig, SegmenterConfig
from swinkit.segmentation.network.layers import FCNHead, resize
from swinkit.segmentation.network.losses import segmentation_losses
from swinkit.segmentation.network.unet import UNetHead
from swinkit.segmentation.network.upernet import PyramidPooling, UPerNetHead

DEFAULT_LOSS = SegmentationLossConfig()


class SegmentationNetwork(nn.Module):
    """Backbone, decoder and, for training, an auxiliary head (2103.14030, section 4.3).

    Args:
        config: architecture.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.backbone = SwinBackbone(config.backbone)
        widths = config.backbone.channels
        # What the decoder reads in place of the last map.
        self.ppm: PyramidPooling | nn.Identity
        self.head: UPerNetHead | UNetHead
        if config.decoder == "upernet":
            self.ppm = PyramidPooling(widths[-1], config.channels, config.pool_scales)
            self.head = UPerNetHead(
                widths[:-1], config.channels, config.num_classes, dropout=config.dropout
            )
        else:
            self.ppm = nn.Identity()
            self.head = UNetHead(
                config.backbone.in_channels,
                widths,
                config.backbone.patch_size,
                config.channels,
                config.num_classes,
                dropout=config.dropout,
            )
        self.auxiliary: FCNHead | None = None
        if config.auxiliary_stage is not None:
            self.auxiliary = FCNHead(
                widths[config.auxiliary_stage],
                config.auxiliary_channels,
                config.num_classes,
                num_convs=config.auxiliary_convs,
                dropout=config.dropout,
            )

    def forward(self, images: Tensor) -> Tensor:
        """`B C H W` -> logits `B K H W`, upsampled bilinearly from the decoder's size."""
        logits = self.decode_maps(images, self.backbone(images))
        return resize(logits, (images.shape[2], images.shape[3]))

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits as the heads give them: UPerNet's at the finest map's size (a quarter), the
        U-Net's at full size; and the auxiliary head's at its stage's, or None without one."""
        maps = self.backbone(images)
        logits = self.decode_maps(images, maps)
        stage = self.config.auxiliary_stage
        if self.auxiliary is None or stage is None:
            return logits, None
        return logits, self.auxiliary(maps[stage])

    def losses(
        self, images: Tensor, labels: Tensor, loss: SegmentationLossConfig = DEFAULT_LOSS
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch; their sum is the total.

        Args:
            images: `B C H W`, normalized.
            labels: `B H W` int64, `loss.ignore_index` (255) where a pixel does not count.
            loss: which losses, with what weights.

        Returns:
            "cross_entropy", "dice", "lovasz" as far as they are on, and "auxiliary".

        Raises:
            ConfigError: a batch of one in training, where UPerNet's 1x1 pooling has one value per
                channel and batch norm cannot normalize it.
            DataError: labels outside the classes.
        """
        pools_all = self.config.decoder == "upernet" and 1 in self.config.pool_scales
        if self.training and len(images) == 1 and pools_all:
            raise ConfigError(
                "UPerNet cannot train on a batch of one image: its pooling to one cell leaves "
                "batch norm a single value; raise batch_size or drop the last batch"
            )
        decoded, auxiliary = self.decode(images)
        size_hw = (labels.shape[1], labels.shape[2])
        losses = segmentation_losses(resize(decoded, size_hw), labels, loss)
        if auxiliary is not None and loss.auxiliary > 0:
            only = replace(loss, cross_entropy=loss.auxiliary, dice=0.0, lovasz=0.0)
            upsampled = resize(auxiliary, size_hw)
            losses["auxiliary"] = segmentation_losses(upsampled, labels, only)["cross_entropy"]
        return losses

    def decode_maps(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Logits as the head gives them, from images and the backbone's maps of them."""
        return self.head(images, (*maps[:-1], self.ppm(maps[-1])))
