"""From settings to the network and the loaders of a run."""

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from swinkit import __version__
from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.data.classification.datasets import ClassificationDataset
from swinkit.data.classification.samples import Sample, Splits
from swinkit.data.classification.transforms import Transform, eval_transform, train_transform
from swinkit.data.loading import build_loader
from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Preprocessing
from swinkit.models.classifier import SwinClassifier
from swinkit.models.create import create_model
from swinkit.models.info import ModelInfo
from swinkit.training.config import TrainConfig
from swinkit.training.parameter_groups import freeze
from swinkit.training.processes import Processes

logger = logging.getLogger(__name__)

DEFAULT_SIZE = 224  # pixels, of an architecture without a name


def build_model(config: TrainConfig, class_names: tuple[str, ...]) -> SwinClassifier:
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
    start = wanted.weights or "random weights"
    provenance = {
        **model.info.provenance,
        "trained_by": f"swinkit {__version__}",
        "started_from": str(start),
        "data": str(config.data.path),
    }
    model.info = replace(model.info, provenance=provenance, metrics={})
    freeze(model, wanted.frozen_stages)
    return model


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
    preprocessing = loaded.info.preprocessing
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


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """The batches of a run, for one process."""

    train: DataLoader
    val: DataLoader
    train_set: ClassificationDataset

    def steps_per_epoch(self, accumulate: int) -> int:
        """Optimiser steps; a last incomplete accumulation is a step too."""
        return -(-len(self.train) // accumulate)


def build_loaders(
    config: TrainConfig,
    splits: Splits,
    preprocessing: Preprocessing,
    batch_size: int,
    processes: Processes,
    *,
    pin_memory: bool,
) -> Loaders:
    """Training and validation batches."""
    seed = config.runtime.seed

    def dataset(samples: list[Sample], transform: Transform) -> ClassificationDataset:
        return ClassificationDataset(
            samples,
            transform,
            channels=config.data.channels,
            seed=seed,
            on_bad_image=config.data.on_bad_image,
        )

    def loader(images: ClassificationDataset, train: bool) -> DataLoader:
        return build_loader(
            images,
            batch_size=batch_size,
            shuffle=train,
            drop_last=train,
            workers=config.data.workers,
            seed=seed,
            rank=processes.rank,
            world_size=processes.size,
            pin_memory=pin_memory,
        )

    train_set = dataset(splits.train, train_transform(config.augmentation, preprocessing))
    val_set = dataset(splits.val, eval_transform(preprocessing))
    return Loaders(train=loader(train_set, True), val=loader(val_set, False), train_set=train_set)


def loss_weights(config: TrainConfig, splits: Splits) -> Tensor | None:
    """(K,) weights of the classes in the loss, mean 1, or None."""
    if config.class_weights == "none":
        return None
    return torch.from_numpy(splits.class_weights())
