"""Image classification with a Swin backbone: logits for tensors, named results for images.

Legend: B batch, H W pixels, C channels, K classes.
"""

import numpy as np
import torch
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError
from swinkit.heads.classify import ClassificationHead
from swinkit.images.preprocessing import Preprocessing
from swinkit.models.info import ModelInfo
from swinkit.models.predicting import (
    OnError,
    Opened,
    Source,
    Stopwatch,
    list_sources,
    place_of,
    predict_each,
)
from swinkit.results.classification import Classification


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

    def predict(
        self,
        source: Source,
        *,
        batch_size: int = 16,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
    ) -> list[Classification]:
        """Classify images; always a list, in the order of the source.

        Args:
            source: path of an image, a directory (searched recursively) or a glob, an array
                (H, W) or (H, W, C), a Pillow image, or a list of any of these.
            batch_size: images in one forward pass.
            on_error: "skip" leaves out images that cannot be read.
            device: moves the model there first; None leaves it where it is.
            keep_images: keep each picture in its result, for `plot`.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
        """
        return list(
            predict_each(
                self,
                list_sources(source),
                lambda pixels, name: self._preprocessing()(pixels, name=name),
                lambda batch: self._classify(batch, keep_images),
                channels=self.config.in_channels,
                batch_size=max(batch_size, 1),
                on_error=on_error,
                device=device,
            )
        )

    def _preprocessing(self) -> Preprocessing:
        preprocessing = self.info.fixed_size
        if preprocessing.channels == self.config.in_channels:
            return preprocessing
        return Preprocessing.for_size(preprocessing.size_hw, channels=self.config.in_channels)

    def _classify(self, batch: list[Opened[np.ndarray]], keep_images: bool) -> list[Classification]:
        watch = Stopwatch()
        device, dtype = place_of(self)
        values = torch.from_numpy(np.stack([image.prepared for image in batch]))
        probabilities = self(values.to(device, dtype)).float().softmax(-1).cpu().numpy()
        seconds = watch.share(len(batch))
        return [
            Classification(
                class_names=self.class_names,
                probabilities=row,
                source=image.name,
                image_rgb=image.picture(keep_images),
                seconds=seconds,
            )
            for image, row in zip(batch, probabilities, strict=True)
        ]
