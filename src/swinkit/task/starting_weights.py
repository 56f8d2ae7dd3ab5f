"""Starting weights of a network on a backbone: a whole model, or the backbone for one."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.data.bands import channels_of
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.task.model import ModelInfo, Prepare, TaskModel
from swinkit.task.train_config import ModelConfig, TrainConfig
from swinkit.task.training import LoadWeights

logger = logging.getLogger(__name__)

Whole = TypeVar("Whole", bound=nn.Module)
Dense = TypeVar("Dense", bound=TaskModel[Fit])


def adapt_backbone(backbone: SwinConfig, config: TrainConfig) -> SwinConfig:
    """An architecture with the settings of a run in the place of its own."""
    wanted = config.model
    return backbone.adapted(
        in_channels=channels_of(config.data),
        window_size=wanted.window_size,
        drop_path_rate=wanted.drop_path_rate,
        gradient_checkpointing=wanted.gradient_checkpointing,
    )


def adapt_preprocessing(preprocessing: Prepare, config: TrainConfig) -> Prepare:
    """The preprocessing of a run's images: their size and channels, else as it was."""
    if config.model.image_size is not None:
        preprocessing = preprocessing.of_size(config.model.image_size)
    return preprocessing.for_channels(channels_of(config.data))


def build_dense(
    kind: type[Dense],
    config: TrainConfig,
    class_names: tuple[str, ...],
    load: LoadWeights,
    *,
    fresh: Callable[[], tuple[Any, Fit]],
    make: Callable[[Any, ModelInfo], Dense],
) -> Dense:
    """A model of a run's classes, windows and bands, with its starting weights.

    Args:
        kind: of models whose weights are taken as a whole.
        fresh: architecture and preprocessing where the weights are none such.
        make: the model of an architecture that has been adapted.

    Raises:
        ConfigError: no such model, or one that needs what the data does not have.
        CheckpointError: starting weights that cannot be used.
    """
    whole = load_whole(config.model, kind, load, channels_of(config.data))
    if whole is None:
        architecture, fit = fresh()
        info = ModelInfo(preprocessing=fit)
    else:
        architecture, info, fit = whole.config, whole.info, whole.preprocessing
    backbone = adapt_backbone(architecture.backbone, config)
    architecture = replace(architecture, backbone=backbone, num_classes=len(class_names))
    fit = adapt_preprocessing(fit, config)
    model = make(architecture, replace(info, class_names=class_names, preprocessing=fit))
    start_from(model, whole, backbone, config.model, load)
    return model


def load_whole(
    config: ModelConfig, kind: type[Whole], load: LoadWeights, channels: int | None = None
) -> Whole | None:
    """The model in the weights, if it is of that kind; None without weights or of another kind.

    Args:
        channels: of the run's images, which the model is moved to; None leaves it as it is.
    """
    weights = config.weights
    loaded = None if weights is None else load(weights, in_channels=channels)
    return loaded if isinstance(loaded, kind) else None


def start_from(
    model: nn.Module,
    whole: nn.Module | None,
    backbone: SwinConfig,
    config: ModelConfig,
    load: LoadWeights,
) -> None:
    """Give a model of fresh weights its starting weights.

    Args:
        whole: a trained model of the same task, or None: then `config.weights` may name a backbone.
        backbone: the architecture of the model's.

    Raises:
        ConfigError: weights that do not fit.
    """
    if whole is not None:
        _take_fitting(model, whole.state_dict())
    elif config.weights is not None:
        loaded = load(
            config.weights,
            task="backbone",
            window_size=backbone.windows,
            in_channels=backbone.in_channels,
        )
        _take_backbone(model, loaded.state_dict(), config)


def _take_backbone(model: nn.Module, given: dict[str, Tensor], config: ModelConfig) -> None:
    """Start a model's backbone from that of the weights, moved to its windows and bands.

    Norms of the stages that the source does not have stay as they are made.
    """
    backbone = model.get_submodule("backbone")
    own = backbone.state_dict()
    strange = [
        name for name, value in given.items() if name not in own or own[name].shape != value.shape
    ]
    if strange:
        raise ConfigError(
            f"{config.weights} does not fit the backbone of {config.name} ({strange[0]}, and "
            f"{len(strange) - 1} more); choose weights of its size"
        )
    backbone.load_state_dict(given, strict=False)
    fresh = sorted({name.rsplit(".", 1)[0] for name in own if name not in given})
    if fresh:
        logger.info("the backbone starts from %s; new: %s", config.weights, ", ".join(fresh))


def _take_fitting(model: nn.Module, given: dict[str, Tensor]) -> None:
    """Start a model from the tensors of another whose shapes fit; what does not is logged."""
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
