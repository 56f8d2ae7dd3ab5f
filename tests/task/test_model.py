"""What the models of all tasks share: class names and preprocessing are checked when set."""

from dataclasses import replace

import pytest

from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier
from swinkit.detection.model import create_detector
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.segmentation.model import create_segmenter
from swinkit.task.model import ModelInfo, TaskModel

TASKS = ("classifier", "detector", "segmenter")


def make(task: str) -> TaskModel:
    if task == "detector":
        return create_detector("retinanet_swin_nano", num_classes=2)
    if task == "segmenter":
        return create_segmenter("unet_swin_nano", num_classes=2)
    config = SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
    return SwinClassifier(config, num_classes=2)


@pytest.mark.parametrize("task", TASKS)
def test_names(task: str) -> None:
    model = make(task)
    assert model.num_classes == 2
    assert model.class_names == ("class 0", "class 1")
    model.info = replace(model.info, class_names=("cat", "dog"))
    assert model.class_names == ("cat", "dog")
    with pytest.raises(ConfigError, match="3 class names for a model of 2 classes"):
        model.info = replace(model.info, class_names=("cat", "dog", "heron"))
    assert model.class_names == ("cat", "dog")


@pytest.mark.parametrize("task", TASKS)
def test_preprocessing_of_another_task(task: str) -> None:
    other = Fit() if task == "classifier" else Preprocessing()
    with pytest.raises(ConfigError, match=f"prepares images by .*; got {type(other).__name__}"):
        make(task).info = ModelInfo(preprocessing=other)


def test_size_of_the_images() -> None:
    detector, classifier = make("detector"), make("classifier")
    detector.set_image_size(100)
    assert detector.preprocessing.short_side == 100
    detector.set_image_size("original")
    assert detector.preprocessing.short_side is None
    classifier.set_image_size(96)
    assert classifier.preprocessing.size_hw == (96, 96)
    with pytest.raises(ConfigError, match="images of one size"):
        classifier.set_image_size("original")


@pytest.mark.parametrize("kernel", ["reference", "sdpa"])
def test_kernel_on_request(kernel: str) -> None:
    detector = create_detector("retinanet_swin_nano", attention=kernel)
    segmenter = create_segmenter("unet_swin_nano", attention=kernel)
    assert detector.config.backbone.attention == kernel
    assert segmenter.config.backbone.attention == kernel
