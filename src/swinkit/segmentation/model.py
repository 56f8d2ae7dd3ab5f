"""Semantic segmentation of images: a network with class names, preprocessing and `predict`."""

from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.network.segmenter import SegmentationNetwork
from swinkit.segmentation.predict import predict_maps
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel

# The evaluation of the published models on ADE20K: short side 512, nothing padded.
PAPER_FIT = Fit(short_side=512, long_side=2048, divisor=1)


class SwinSegmenter(SegmentationNetwork, TaskModel[Fit]):
    """A network that gives every pixel a class, with the facts in `info`.

    Args:
        config: architecture.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names that do not fit the model.
    """

    task = "segmentation"
    prepare_type = Fit

    def __init__(self, config: SegmenterConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config)
        fit = PAPER_FIT.for_channels(config.backbone.in_channels)
        self.info = info or ModelInfo(preprocessing=fit)

    predict = predict_maps
