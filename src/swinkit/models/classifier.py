"""Image classification with a Swin backbone: logits for tensors, named results for images.

Legend: B batch, H W pixels, C channels, K classes.
"""

from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.heads.classify import ClassificationHead
from swinkit.models.classifying import predict_classes
from swinkit.models.info import ModelInfo


class SwinClassifier(nn.Module):
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
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; a classifier needs at least one")
        self.config = config
        self.num_classes = num_classes
        self.backbone = SwinBackbone(config)
        self.head = ClassificationHead(config.channels[-1], num_classes)
        self.info = info or ModelInfo()

    predict = predict_classes

    @property
    def info(self) -> ModelInfo:
        """Class names, preprocessing, metrics and provenance; checked when set."""
        return self._info

    @info.setter
    def info(self, info: ModelInfo) -> None:
        if info.class_names is not None and len(info.class_names) != self.num_classes:
            raise ConfigError(
                f"{len(info.class_names)} class names for a model of {self.num_classes} classes"
            )
        _ = info.fixed_size
        self._info = info

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per logit; "class 0", "class 1", ... where they are unknown."""
        if self.info.class_names is not None:
            return self.info.class_names
        return tuple(f"class {number}" for number in range(self.num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B K` logits."""
        return self.head(self.backbone.forward_last(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> `B C` pooled features of the last stage."""
        return self.head.pool(self.backbone.forward_last(image))
