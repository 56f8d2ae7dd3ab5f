"""Configurations of detectors: defaults by kind, JSON, settings that cannot work."""

import json
from typing import get_args

import pytest

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.variants import VARIANTS
from swinkit.detection.config import (
    DetectorConfig,
    OutputConfig,
    RCNNConfig,
    RCNNKind,
    RetinaHeadConfig,
    RetinaNetConfig,
    RPNConfig,
    Suppression,
    detection_backbone,
)
from swinkit.detection.roi_config import MaskHeadConfig, RoIConfig, SemanticConfig, StageConfig
from swinkit.detection.variants import DETECTORS
from swinkit.errors import ConfigError

BACKBONE = detection_backbone(SwinConfig())


@pytest.mark.parametrize("name", DETECTORS)
def test_named_ones_survive_json(name: str) -> None:
    config = DETECTORS[name]
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_changed_settings_survive_json() -> None:
    config = RCNNConfig(
        backbone=BACKBONE,
        kind="htc",
        rpn=RPNConfig(ratios=(0.5, 2.0), test_proposals=7),
        roi=RoIConfig(
            stages=(StageConfig(iou=0.4, stds=(1, 1, 2, 2)),),
            mask=MaskHeadConfig(flow=True, merge="last"),
            semantic=SemanticConfig(num_classes=9),
        ),
        output=OutputConfig(suppression=Suppression(method="linear", iou=0.3)),
    )
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    retina = RetinaNetConfig(backbone=BACKBONE, retina=RetinaHeadConfig(num_convs=1))
    assert DetectorConfig.from_dict(json.loads(json.dumps(retina.to_dict()))) == retina


@pytest.mark.parametrize("name", ["retinanet_swin_t", "faster_rcnn_swin_t", "htc_swin_b"])
def test_headers_of_the_first_version_name_the_heads_of_all_kinds(name: str) -> None:
    config = DETECTORS[name]
    first = {"retina": None, "rpn": None, "roi": None, **config.to_dict()}
    assert DetectorConfig.from_dict(first) == config


@pytest.mark.parametrize("kind", get_args(RCNNKind))
def test_defaults_of_a_kind(kind: str) -> None:
    config = RCNNConfig(backbone=BACKBONE, kind=kind)
    assert config.has_masks == (kind in ("mask_rcnn", "cascade_mask_rcnn", "htc"))
    assert len(config.roi.stages) == (1 if kind in ("faster_rcnn", "mask_rcnn") else 3)
    assert config.class_agnostic == (kind == "htc")


def test_retinanet_reads_no_finest_map() -> None:
    config = RetinaNetConfig(backbone=BACKBONE)
    assert config.backbone.norm_stages == (1, 2, 3)
    assert not config.has_masks


def test_backbones_of_detectors() -> None:
    backbone = detection_backbone(VARIANTS["swin_t"].config)
    assert backbone.norm_stages == (0, 1, 2, 3)
    assert backbone.small_map_rule == "keep"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "yolo"}, "no detector kind 'yolo'"),
        ({"num_classes": 0}, "at least one class"),
        ({"kind": "retinanet"}, "a RetinaNetConfig"),
        ({"roi": RoIConfig()}, "mask_rcnn needs mask settings"),
        ({"kind": "faster_rcnn", "roi": RoIConfig(mask=MaskHeadConfig())}, "has no mask"),
        (
            {"roi": RoIConfig(mask=MaskHeadConfig(), semantic=SemanticConfig(level=5))},
            "5 levels",
        ),
    ],
)
def test_settings_that_do_not_fit(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RCNNConfig(**{"backbone": BACKBONE, **changes})


def test_unknown_settings_are_refused() -> None:
    values = RCNNConfig(backbone=BACKBONE).to_dict()
    values["roi"]["stages"][0]["color"] = 1
    with pytest.raises(ConfigError, match=r"unknown setting roi\.stages\[0\]\.color"):
        DetectorConfig.from_dict(values)
    values = RetinaNetConfig(backbone=BACKBONE).to_dict()
    with pytest.raises(ConfigError, match="unknown setting roi"):
        DetectorConfig.from_dict({**values, "roi": {}})
    with pytest.raises(ConfigError, match="no other than retinanet"):
        RetinaNetConfig(backbone=BACKBONE, kind="htc")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RoIConfig(stages=()), "at least one stage"),
        (lambda: RoIConfig(box_loss="l2"), "choose l1"),
        (lambda: RoIConfig(positive_fraction=0), "positive_fraction"),
        (lambda: StageConfig(stds=(1, 1, 1)), "four positive numbers"),
        (lambda: MaskHeadConfig(merge="max"), "choose mean or last"),
    ],
)
def test_stage_settings_that_cannot_work(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
