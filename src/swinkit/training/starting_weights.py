"""Starting weights of detectors and segmenters: a whole model, or a backbone for one."""

import logging
from typing import TypeVar

from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.load import load
from swinkit.classification.start import trained_info
from swinkit.detection.model import SwinDetector
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.segmentation.model import SwinSegmenter
from swinkit.task.train_config import ModelConfig, TrainConfig
from swinkit.training.optimizer import freeze

logger = logging.getLogger(__name__)

Whole = TypeVar("Whole", bound=nn.Module)


def adapt_backbone(backbone: SwinConfig, config: TrainConfig) -> SwinConfig:
    """An architecture with the settings of a run in the place of its own."""
    wanted = config.model
    return backbone.adapted(
        in_channels=config.data.channels,
        window_size=wanted.window_size,
        drop_path_rate=wanted.drop_path_rate,
        gradient_checkpointing=wanted.gradient_checkpointing,
    )


def adapt_fit(fit: Fit, config: TrainConfig) -> Fit:
    """The preparation with the short side that is wanted, the long side in proportion."""
    fit, side = fit.for_channels(config.data.channels), config.model.image_size
    return fit if side is None else fit.of_size(side)


def load_whole(wanted: ModelConfig, kind: type[Whole]) -> Whole | None:
    """The detector or segmenter in the weights; None where they hold something else."""
    assert wanted.weights is not None
    loaded = load(wanted.weights, report=lambda report: logger.info("%s", report))
    return loaded if isinstance(loaded, kind) else None


def start(
    model: SwinDetector | SwinSegmenter, whole: nn.Module | None, config: TrainConfig
) -> None:
    """Give a model its starting weights, the facts of the run and its frozen stages.

    Args:
        model: of fresh weights.
        whole: a trained model of the same task, or None.
        config: where `whole` is None, `model.weights` may name a backbone.

    Raises:
        ConfigError: weights that do not fit.
    """
    if whole is not None:
        _take_fitting(model, whole.state_dict())
    elif config.model.weights is not None:
        _take_backbone(model, model.config.backbone, config.model)
    model.info = trained_info(model.info, config)
    freeze(model, config.model.frozen_stages)


def _take_backbone(model: nn.Module, config: SwinConfig, wanted: ModelConfig) -> None:
    """Start a model's backbone from the backbone in the weights, moved to its windows and bands.

    Norms of the stages that the source does not have stay as they are made.

    Raises:
        ConfigError: a backbone of another size.
    """
    assert wanted.weights is not None
    loaded = load(
        wanted.weights,
        task="backbone",
        window_size=config.windows,
        in_channels=config.in_channels,
        report=lambda report: logger.info("%s", report),
    )
    assert isinstance(loaded, SwinBackbone)
    backbone = model.get_submodule("backbone")
    own, given = backbone.state_dict(), loaded.state_dict()
    strange = [
        name for name, value in given.items() if name not in own or own[name].shape != value.shape
    ]
    if strange:
        raise ConfigError(
            f"{wanted.weights} does not fit the backbone of {wanted.name} ({strange[0]}, and "
            f"{len(strange) - 1} more); choose weights of its size"
        )
    backbone.load_state_dict(given, strict=False)
    fresh = sorted({name.rsplit(".", 1)[0] for name in own if name not in given})
    if fresh:
        logger.info("the backbone starts from %s; new: %s", wanted.weights, ", ".join(fresh))


def _take_fitting(model: nn.Module, given: dict[str, Tensor]) -> None:
    """Start a model from the tensors of another whose shapes fit; what does not is said."""
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and own[name].shape == value.shape
    }
    model.load_state_dict(fitting, strict=False)
    fresh = sorted({name.rsplit(".", 1)[0] for name in own if name not in fitting})
    if fresh:
        logger.info("started anew, as the classes are others: %s", ", ".join(fresh))
