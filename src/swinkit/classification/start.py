"""From settings to a classifier with its starting weights."""

from dataclasses import replace

from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier, create_model
from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.errors import ConfigError
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.info import ModelInfo
from swinkit.task.training import LoadWeights

DEFAULT_SIZE = 224  # pixels, of an architecture without a name


def build_classifier(
    config: ClassificationTrainConfig, class_names: tuple[str, ...], load: LoadWeights
) -> SwinClassifier:
    """The network with its starting weights, without the facts of the run.

    Raises:
        ConfigError: no such model, or settings that contradict each other.
        CheckpointError: starting weights that cannot be used.
    """
    wanted = config.model
    if wanted.weights is not None:
        return _from_weights(config, wanted.weights, class_names, load)
    if config.architecture is not None:
        return _from_architecture(config, config.architecture, class_names)
    return create_model(
        wanted.name,
        num_classes=len(class_names),
        class_names=class_names,
        image_size=wanted.image_size,
        in_channels=config.data.channels,
        window_size=wanted.window_size,
        drop_path_rate=wanted.drop_path_rate,
        gradient_checkpointing=wanted.gradient_checkpointing,
    )


def _from_architecture(
    config: ClassificationTrainConfig, architecture: SwinConfig, class_names: tuple[str, ...]
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


def _from_weights(
    config: ClassificationTrainConfig, weights: str, class_names: tuple[str, ...], load: LoadWeights
) -> SwinClassifier:
    wanted = config.model
    loaded = load(
        weights,
        image_size=wanted.image_size,
        window_size=wanted.window_size,
        task="classification",
        num_classes=len(class_names),
        in_channels=config.data.channels,
    )
    if not isinstance(loaded, SwinClassifier):
        raise ConfigError(f"{weights} did not give a classifier; choose other weights")
    preprocessing = loaded.preprocessing
    if wanted.image_size is not None:
        preprocessing = preprocessing.of_size(wanted.image_size)
    preprocessing = preprocessing.for_channels(config.data.channels)
    info = replace(loaded.info, class_names=class_names, preprocessing=preprocessing)
    model = SwinClassifier(
        _training_settings(config, loaded.config), num_classes=len(class_names), info=info
    )
    model.load_state_dict(loaded.state_dict())
    return model


def _training_settings(config: ClassificationTrainConfig, architecture: SwinConfig) -> SwinConfig:
    rate = config.model.drop_path_rate
    return replace(
        architecture,
        drop_path_rate=architecture.drop_path_rate if rate is None else rate,
        gradient_checkpointing=config.model.gradient_checkpointing,
    )
