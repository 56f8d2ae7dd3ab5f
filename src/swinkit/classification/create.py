"""Models by name, with fresh weights; `swinkit.load` gives trained ones."""

from collections.abc import Sequence

from swinkit.backbones.create import find_variant
from swinkit.classification.model import SwinClassifier
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.info import ModelInfo
from swinkit.windows.kernels.choice import Kernel


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
) -> SwinClassifier:
    """A classifier with fresh weights.

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

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.
    """
    variant = find_variant(name)
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
