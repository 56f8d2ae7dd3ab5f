"""From settings to a classifier with its starting weights."""

import logging
from dataclasses import replace

import torch

from swinkit import __version__
from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.classification.create import create_model
from swinkit.classification.model import SwinClassifier
from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.info import ModelInfo
from swinkit.task.train_config import TrainConfig
from swinkit.training.optimizer import freeze

logger = logging.getLogger(__name__)

DEFAULT_SIZE = 224  # pixels, of an architecture without a name


def build_classifier(config: TrainConfig, class_names: tuple[str, ...]) -> SwinClassifier:
    """The network with its starting weights, which depend on the seed alone; stages frozen.

    Raises:
        ConfigError: no such model, or settings that contradict each other.
        CheckpointError: starting weights that cannot be used.
    """
    torch.manual_seed(config.runtime.seed)
    wanted = config.model
    if wanted.weights is not None:
        model = _from_weights(config, class_names)
    elif wanted.architecture is not None:
        model = _from_architecture(config, wanted.architecture, class_names)
    else:
        model = create_model(
            wanted.name,
            num_classes=len(class_names),
            class_names=class_names,
            image_size=wanted.image_size,
            in_channels=config.data.channels,
            window_size=wanted.window_size,
            drop_path_rate=wanted.drop_path_rate,
            gradient_checkpointing=wanted.gradient_checkpointing,
        )
    model.info = trained_info(model.info, config)
    freeze(model, wanted.frozen_stages)
    return model


def trained_info(info: ModelInfo, config: TrainConfig) -> ModelInfo:
    """The facts about a model at the start of a run: where it came from, nothing measured yet."""
    provenance = {
        **info.provenance,
        "trained_by": f"swinkit {__version__}",
        "started_from": config.model.weights or "random weights",
        "data": str(config.data.path),
    }
    return replace(info, provenance=provenance, metrics={})


def _from_architecture(
    config: TrainConfig, architecture: SwinConfig, class_names: tuple[str, ...]
) -> SwinClassifier:
    wanted, channels = config.model, config.data.channels
    size = wanted.image_size or DEFAULT_SIZE
    info = ModelInfo(
        class_names=class_names, preprocessing=Preprocessing.for_size(size, channels=channels)
    )
    return SwinClassifier(
        replace(_training_settings(config, architecture), in_channels=channels),
        num_classes=len(class_names),
        info=info,
    )


def _from_weights(config: TrainConfig, class_names: tuple[str, ...]) -> SwinClassifier:
    wanted = config.model
    assert wanted.weights is not None
    loaded = load(
        wanted.weights,
        image_size=wanted.image_size,
        window_size=wanted.window_size,
        task="classification",
        num_classes=len(class_names),
        in_channels=config.data.channels,
        report=lambda report: logger.info("%s", report),
    )
    if not isinstance(loaded, SwinClassifier):
        raise ConfigError(f"{wanted.weights} did not give a classifier; choose other weights")
    preprocessing = loaded.preprocessing
    size = wanted.image_size
    if size is not None and preprocessing.size_hw != (size, size):
        preprocessing = replace(preprocessing, size_hw=(size, size))
    if preprocessing.channels != config.data.channels:
        preprocessing = Preprocessing.for_size(preprocessing.size_hw, channels=config.data.channels)
    info = replace(loaded.info, class_names=class_names, preprocessing=preprocessing)
    model = SwinClassifier(
        _training_settings(config, loaded.config), num_classes=len(class_names), info=info
    )
    model.load_state_dict(loaded.state_dict())
    return model


def _training_settings(config: TrainConfig, architecture: SwinConfig) -> SwinConfig:
    rate = config.model.drop_path_rate
    return replace(
        architecture,
        drop_path_rate=architecture.drop_path_rate if rate is None else rate,
        gradient_checkpointing=config.model.gradient_checkpointing,
    )
