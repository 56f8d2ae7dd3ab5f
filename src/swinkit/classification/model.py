"""Image classification with a Swin backbone: logits for tensors, named results for images.

Legend: B batch, H W pixels, C channels, K classes.
"""

from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.classification.head import ClassificationHead
from swinkit.classification.predict import predict_classes
from swinkit.errors import ConfigError
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel


class SwinClassifier(TaskModel):
    """Backbone, mean pool, linear head (2103.14030, section 3.1), with the facts in `info`.

    Args:
        config: architecture; its last stage should be in `norm_stages`.
        num_classes: K.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names or preprocessing that do not fit the model.
    """

    def __init__(
        self, config: SwinConfig, *, num_classes: int = 1000, info: ModelInfo | None = None
    ) -> None:
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; a classifier needs at least one")
        super().__init__(num_classes)
        self.config = config
        self.backbone = SwinBackbone(config)
        self.head = ClassificationHead(config.channels[-1], num_classes)
        self.info = info or ModelInfo()

    predict = predict_classes

    def check_preprocessing(self, info: ModelInfo) -> None:
        """Refuse a detector's or segmenter's: a classifier's images have one size.

        Raises:
            ConfigError: it is not a classifier's.
        """
        _ = info.fixed_size

    def forward(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B K` logits."""
        return self.head(self.backbone.forward_last(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B C` pooled features of the last stage."""
        return self.head.pool(self.backbone.forward_last(image))
