"""Detectors by name: published parameters and FLOPs, and how they are made."""

import pytest
import torch

from swinkit.backbones.variants import count_flops
from swinkit.detection.flops import count_detector_flops, count_padded_backbone
from swinkit.detection.model import SwinDetector, create_detector
from swinkit.detection.roi_config import SemanticConfig
from swinkit.detection.variants import DETECTORS, PUBLISHED
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit


@pytest.mark.parametrize("name", DETECTORS)
def test_builds_without_memory_and_has_the_published_size(name: str) -> None:
    with torch.device("meta"):
        model = SwinDetector.from_config(DETECTORS[name])
    if name in PUBLISHED:
        params = sum(parameter.numel() for parameter in model.parameters())
        assert f"{round(params / 1e6)}M" == PUBLISHED[name][0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_flops_as_published(name: str) -> None:
    flops = count_detector_flops(DETECTORS[name], (800, 1280))
    # The tables differ from the rule by what they rounded and by a thousandth.
    assert flops / 1e9 == pytest.approx(float(PUBLISHED[name][1].removesuffix("G")), rel=2e-3)


def test_backbone_without_padding_counts_as_the_classifier() -> None:
    backbone = DETECTORS["mask_rcnn_swin_t"].backbone
    official, ours = (
        count_flops(backbone, (224, 224), None),
        count_padded_backbone(backbone, (224, 224)),
    )
    assert ours == pytest.approx(official, rel=0.01)


def test_flops_count_what_a_detector_has() -> None:
    names = ("faster_rcnn_swin_nano", "mask_rcnn_swin_nano")
    boxes, masks = (count_detector_flops(DETECTORS[name], (320, 320)) for name in names)
    assert boxes < masks
    assert count_detector_flops(DETECTORS["retinanet_swin_nano"], (320, 320)) > 0


def test_every_family_on_both_backbones() -> None:
    v1 = {name for name in DETECTORS if "_swin_v2_" not in name and "nano" not in name}
    v2 = {name.replace("_swin_v2_", "_swin_") for name in DETECTORS if "_swin_v2_" in name}
    assert v1 == v2
    assert len(v1) == 9


def test_classes_names_and_preprocessing() -> None:
    model = create_detector("mask_rcnn_swin_nano", class_names=("cat", "dog"))
    assert model.class_names == ("cat", "dog")
    assert model.num_classes == model.box_heads[0].scores.out_features - 1 == 2
    assert model.preprocessing.short_side == 320
    assert create_detector("retinanet_swin_nano").num_classes == 80
    fit = Fit(short_side=64, long_side=None)
    model = create_detector("faster_rcnn_swin_nano", num_classes=3, fit=fit, in_channels=1)
    assert model.class_names == ("class 0", "class 1", "class 2")
    assert model.preprocessing == fit.for_channels(1)
    assert model.config.backbone.in_channels == 1


def test_settings_reach_the_architecture() -> None:
    with torch.device("meta"):
        model = create_detector(
            "cascade_mask_rcnn_swin_t",
            norm="group",
            drop_path_rate=0.05,
            window_size=8,
            gradient_checkpointing=True,
        )
        htc = create_detector("htc_swin_b", semantic=SemanticConfig(num_classes=99))
    assert isinstance(model.box_heads[2].convs[3].norm, torch.nn.GroupNorm)
    assert model.config.backbone.windows[0] == (8, 8)
    assert model.config.backbone.drop_path_rate == 0.05
    assert model.config.backbone.gradient_checkpointing
    assert model.depths == (2, 2, 6, 2)
    assert htc.semantic.logits.out_channels == 99


def test_wrong_names_and_settings() -> None:
    with pytest.raises(ConfigError, match="no detector named 'mask_rcnn'; choose one of retinanet"):
        create_detector("mask_rcnn")
    with pytest.raises(ConfigError, match="retinanet has no RoI heads"):
        create_detector("retinanet_swin_nano", norm="group")
    with pytest.raises(ConfigError, match="2 class names for a model of 3 classes"):
        create_detector("retinanet_swin_nano", num_classes=3, class_names=("a", "b"))
