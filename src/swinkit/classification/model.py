"""Image classification: a network with class names, preprocessing and `predict`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.names import get_variant
from swinkit.classification.network import ClassificationNetwork
from swinkit.classification.result import Classification
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.base import OnError
from swinkit.task.model import Answer, ModelInfo, TaskModel
from swinkit.task.predicting import FixedSizePredictor, InputImage, Source, Stopwatch, listed
from swinkit.windows.kernels import Kernel


class SwinClassifier(ClassificationNetwork, TaskModel[Preprocessing]):
    """A network that names what is on an image, with the facts in `info`.

    Called with a tensor of prepared images `B C H W` it gives logits `B K`; `predict` takes images
    as they are.

    Args:
        config: architecture; its last stage should be in `norm_stages`.
        num_classes: K.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names or preprocessing that do not fit the model.

    Example:
        >>> import torch
        >>> from swinkit import create_model
        >>> model = create_model("swin_nano", class_names=("cat", "dog")).eval()
        >>> tuple(model(torch.zeros(1, 3, 40, 52)).shape)
        (1, 2)
        >>> tuple(model.forward_features(torch.zeros(1, 3, 40, 52)).shape)
        (1, 384)
    """

    task = "classification"
    prepare_type = Preprocessing

    def __init__(
        self, config: SwinConfig, *, num_classes: int = 1000, info: ModelInfo | None = None
    ) -> None:
        super().__init__(config, num_classes)
        self.info = info or ModelInfo()

    def predict_iter(
        self,
        source: Source,
        *,
        batch_size: int = 16,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
    ) -> Iterator[Classification]:
        """The classes of images, in the order of the source; `predict` gives them in a list.

        Only a batch of images is in memory at a time. The model is in evaluation mode until the
        last result has been taken.

        Args:
            source: path of an image, a directory (searched recursively) or a glob, an array
                (H, W) or (H, W, C), a Pillow image, or a list of any of these.
            batch_size: images in one forward pass.
            on_error: "skip" leaves out images that cannot be read and logs why; a function is
                called with the error of each instead.
            device: moves the model there first; None leaves it where it is.
            keep_images: keep each picture in its result, for `plot`.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
            ConfigError: batch_size below 1.

        Example:
            >>> import numpy as np
            >>> from swinkit import create_model
            >>> model = create_model("swin_nano", class_names=("cat", "dog"))
            >>> (found,) = model.predict(np.zeros((48, 64, 3), np.uint8))
            >>> sorted(name for name, _ in found.top(2))
            ['cat', 'dog']
        """
        predictor = ClassificationPredictor(
            network=self,
            runner=self.runner,
            class_names=self.class_names,
            preprocessing=self.preprocessing.for_channels(self.config.in_channels),
            batch_size=batch_size,
        )
        return predictor.predict_iter(
            source, on_error=on_error, device=device, keep_images=keep_images
        )

    predict = listed(predict_iter)
    """`predict_iter`, with all results in a list."""

    def answers(self, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
        """All classes, the most probable first."""

        def log_probabilities(maps: Sequence[Tensor]) -> Tensor:
            return self.head(maps[-1].flatten(2).transpose(1, 2)).log_softmax(-1)  # B K

        def answer(label: int) -> Answer:
            return Answer(
                name=f"{self.class_names[label]} {float(found[label]):.2g}",
                score=lambda images, maps: log_probabilities(maps)[:, label],
            )

        with torch.no_grad():
            found = log_probabilities(maps)[0].exp()
        return [answer(label) for label in found.argsort(descending=True).tolist()]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationPredictor(FixedSizePredictor[Classification]):
    """Classifies images."""

    network: ClassificationNetwork

    def results(
        self, batch: Sequence[InputImage[np.ndarray]], keep_images: bool
    ) -> list[Classification]:
        """All images of a batch in one forward pass."""
        watch = Stopwatch()
        logits = self.run(self.to_network([image.prepared for image in batch]))
        probabilities = logits.float().softmax(-1).cpu().numpy()
        seconds = watch.share(len(batch))
        return [
            Classification(
                class_names=self.class_names,
                probabilities=row,
                source=image.name,
                image_rgb=self.picture(image, keep_images),
                seconds=seconds,
            )
            for image, row in zip(batch, probabilities, strict=True)
        ]


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    class_names: Sequence[str] | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    pretrained: bool = False,
) -> SwinClassifier:
    """A classifier with fresh weights; `swinkit.load` gives trained ones.

    Args:
        name: key of `swinkit.backbones.variants.VARIANTS`, such as "swin_t".
        num_classes: by default as many as class names, else 1000.
        image_size: pixels that `predict` scales images to, a side or (height, width); by default
            the variant's. The model itself takes any size.
        in_channels: bands of the image.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; by default the variant's training recipe.
        class_names: one per class.
        attention: "auto", "sdpa" or "reference"; None keeps the variant's.
        gradient_checkpointing: save memory in training.
        pretrained: refused with the name of the weights that `swinkit.load` takes.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.

    Example:
        >>> from swinkit import create_model
        >>> model = create_model("swin_nano", class_names=("cat", "dog"), image_size=96)
        >>> model.num_classes, model.preprocessing.size_hw
        (2, (96, 96))
    """
    variant = get_variant(name, pretrained=pretrained)
    config = variant.config.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=variant.drop_path_rate if drop_path_rate is None else drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    if num_classes is None:
        num_classes = 1000 if class_names is None else len(class_names)
    info = ModelInfo(
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=Preprocessing.for_size(
            image_size or variant.image_size, channels=in_channels
        ),
    )
    return SwinClassifier(config, num_classes=num_classes, info=info)
