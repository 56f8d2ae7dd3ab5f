"""Scene segmentation with a Swin backbone: a class for every pixel.

Legend: B batch, H W pixels, C channels, K classes.
"""

from typing import cast

from torch import Tensor

from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.loss_config import SegmentationLossConfig
from swinkit.segmentation.network.fcn import FCNHead
from swinkit.segmentation.network.losses import segmentation_losses
from swinkit.segmentation.network.ppm import PyramidPooling
from swinkit.segmentation.network.resized_conv import resize
from swinkit.segmentation.network.unet import UNetHead
from swinkit.segmentation.network.upernet import UPerNetHead
from swinkit.segmentation.predict import predict_maps
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel

DEFAULT_LOSS = SegmentationLossConfig()
# The evaluation of the published models on ADE20K: short side 512, nothing padded.
PAPER_FIT = Fit(short_side=512, long_side=2048, divisor=1)


class SwinSegmenter(TaskModel):
    """Backbone, decoder and, for training, an auxiliary head (2103.14030, section 4.3).

    Args:
        config: architecture.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names that do not fit the model.
    """

    def __init__(self, config: SegmenterConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config.num_classes)
        self.config = config
        self.backbone = SwinBackbone(config.backbone)
        widths = config.backbone.channels
        self.ppm: PyramidPooling | None = None
        self.head: UPerNetHead | UNetHead
        if config.decoder == "upernet":
            self.ppm = PyramidPooling(widths[-1], config.channels, config.pool_scales)
            self.head = UPerNetHead(
                widths[:-1],
                config.channels,
                config.num_classes,
                dropout=config.dropout,
                late_enlarging=config.late_enlarging,
            )
        else:
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
        fit = PAPER_FIT.for_channels(config.backbone.in_channels)
        self.info = info or ModelInfo(preprocessing=fit)

    predict = predict_maps

    def forward(self, images: Tensor) -> Tensor:
        """`B C H W` -> logits `B K H W`, enlarged bilinearly from the decoder's size."""
        logits = self._decoded(images, self.backbone(images))
        return resize(logits, (images.shape[2], images.shape[3]))

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits as the heads give them: UPerNet's at the finest map's size (a quarter), the
        U-Net's at full size; and the auxiliary head's at its stage's, or None without one."""
        maps = self.backbone(images)
        logits = self._decoded(images, maps)
        stage = self.config.auxiliary_stage
        if self.auxiliary is None or stage is None:
            return logits, None
        return logits, self.auxiliary(maps[stage])

    def losses(
        self, images: Tensor, labels: Tensor, loss: SegmentationLossConfig = DEFAULT_LOSS
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch; their sum is the total.

        Args:
            images: `B C H W`, normalised.
            labels: `B H W` int64, `loss.ignore_index` (255) where a pixel does not count.
            loss: which losses, with what weights.

        Returns:
            "cross_entropy", "dice", "lovasz" as far as they are on, and "auxiliary".

        Raises:
            ConfigError: a batch of one in training, where UPerNet's 1x1 pooling has one value per
                channel and batch norm cannot normalise it.
            DataError: labels outside the classes.
        """
        if self.training and len(images) == 1 and self.ppm is not None and 1 in self.ppm.scales:
            raise ConfigError(
                "UPerNet cannot train on a batch of one image: its pooling to one cell leaves "
                "batch norm a single value; raise batch_size or drop the last batch"
            )
        decoded, auxiliary = self.decode(images)
        size_hw = (labels.shape[1], labels.shape[2])
        losses = segmentation_losses(resize(decoded, size_hw), labels, loss)
        if auxiliary is not None and loss.auxiliary > 0:
            only = SegmentationLossConfig(
                cross_entropy=loss.auxiliary,
                class_weights=loss.class_weights,
                ignore_index=loss.ignore_index,
                average=loss.average,
                ohem_threshold=loss.ohem_threshold,
                ohem_least=loss.ohem_least,
            )
            enlarged = resize(auxiliary, size_hw)
            losses["auxiliary"] = segmentation_losses(enlarged, labels, only)["cross_entropy"]
        return losses

    def _decoded(self, images: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        if self.ppm is None:
            return cast(UNetHead, self.head)(images, maps)
        return cast(UPerNetHead, self.head)(maps[:-1], self.ppm(maps[-1]))
