"""Image classification: a network with class names, preprocessing and `predict`."""

from swinkit.backbones.config import SwinConfig
from swinkit.classification.network import ClassificationNetwork
from swinkit.classification.predict import predict_classes
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel


class SwinClassifier(ClassificationNetwork, TaskModel[Preprocessing]):
    """A network that names what is on an image, with the facts in `info`.

    Args:
        config: architecture; its last stage should be in `norm_stages`.
        num_classes: K.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names or preprocessing that do not fit the model.
    """

    task = "classification"
    prepare_type = Preprocessing

    def __init__(
        self, config: SwinConfig, *, num_classes: int = 1000, info: ModelInfo | None = None
    ) -> None:
        super().__init__(config, num_classes)
        self.info = info or ModelInfo()

    predict = predict_classes
