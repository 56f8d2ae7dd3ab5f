"""The architecture of a detector, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from swinkit.backbones.config import SwinConfig
from swinkit.detection.roi_config import (
    CASCADE_STAGES,
    BoxHeadConfig,
    MaskHeadConfig,
    RoIConfig,
)
from swinkit.errors import ConfigError
from swinkit.settings import from_plain, to_plain

Kind = Literal["retinanet", "faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "htc"]
KINDS: tuple[Kind, ...] = (
    "retinanet",
    "faster_rcnn",
    "mask_rcnn",
    "cascade_rcnn",
    "cascade_mask_rcnn",
    "htc",
)
Method = Literal["hard", "linear", "gaussian"]

# Smooth L1 of the region proposals in the published cascades turns quadratic below this.
CASCADE_RPN_BETA = 1.0 / 9.0


@dataclass(frozen=True, kw_only=True)
class RPNConfig:
    """Region proposals: anchors, what they train on, how many boxes they hand on.

    Attributes:
        scale: side of an anchor over the stride of its level. ratios: height over width.
        positive, negative: overlaps from which and below which an anchor is object or background.
        num_samples, positive_fraction: anchors that one image trains on.
        border: anchors that leave the image by more pixels do not train; -1 lets all train.
        box_beta: of the smooth L1 box loss; 0 is plain L1.
        train_pre_nms, train_proposals, test_pre_nms, test_proposals: boxes of a level before, and
            of an image after, suppression of those that overlap more than `iou`.
    """

    scale: float = 8.0
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    positive: float = 0.7
    negative: float = 0.3
    num_samples: int = 256
    positive_fraction: float = 0.5
    border: float = -1
    box_beta: float = 0.0
    train_pre_nms: int = 2000
    train_proposals: int = 1000
    test_pre_nms: int = 1000
    test_proposals: int = 1000
    iou: float = 0.7

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(self.ratios))


@dataclass(frozen=True, kw_only=True)
class RetinaConfig:
    """RetinaNet's head (1708.02002).

    Attributes:
        num_convs: 3x3 convolutions in front of classes and of boxes.
        pre_nms: candidates of a level before suppression.
    """

    num_convs: int = 4
    pre_nms: int = 1000

    @property
    def num_anchors(self) -> int:
        """Anchors per place: three ratios, three scales."""
        return 9


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Non-maximum suppression, or its soft forms that lower scores (1704.04503).

    Attributes:
        method: "hard" drops a box that overlaps a better one by more than `iou`; "linear" scales
            its score by 1 - IoU from `iou` on; "gaussian" by exp(-IoU^2 / sigma) always.
        iou: threshold of "hard" and "linear".
        sigma: width of "gaussian".
        min_score: soft methods drop boxes whose lowered score falls below.
    """

    method: Method = "hard"
    iou: float = 0.5
    sigma: float = 0.5
    min_score: float = 1e-3

    def __post_init__(self) -> None:
        if self.method not in ("hard", "linear", "gaussian"):
            raise ConfigError(
                f'suppression.method must be "hard", "linear" or "gaussian", got {self.method!r}'
            )
        if not 0 <= self.iou <= 1 or not self.sigma > 0 or not 0 <= self.min_score < 1:
            raise ConfigError(
                "suppression needs iou in 0..1, sigma > 0 and min_score in 0..1, got "
                f"iou {self.iou}, sigma {self.sigma}, min_score {self.min_score}"
            )


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Which detections an image keeps.

    Attributes:
        score_threshold: a detection must score higher.
        suppression: of boxes that overlap, within a class.
        max_per_image: best detections of an image.
    """

    score_threshold: float = 0.05
    suppression: Suppression = field(default_factory=Suppression)
    max_per_image: int = 100


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Everything that decides a detector's computation, and nothing learned.

    Settings that the kind does not have are None; those left at None that it has are the kind's
    published ones.

    Attributes:
        backbone: should norm all its stages and keep shifts on small maps (`detection_backbone`);
            RetinaNet leaves out the norm of the first stage, which it does not read.
        num_classes: K, without background.
        kind: "retinanet", "faster_rcnn", "mask_rcnn", "cascade_rcnn" (boxes only),
            "cascade_mask_rcnn" or "htc".
        fpn_channels: of the pyramid and of the heads' inputs.
        rpn, roi, retina: of the heads.
        output: which detections an image keeps.

    Raises:
        ConfigError: an unknown kind, or settings that do not fit it.
    """

    backbone: SwinConfig
    num_classes: int = 80
    kind: Kind = "mask_rcnn"
    fpn_channels: int = 256
    rpn: RPNConfig | None = None
    roi: RoIConfig | None = None
    retina: RetinaConfig | None = None
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no detector kind {self.kind!r}; choose one of {', '.join(KINDS)}")
        if self.num_classes < 1 or self.fpn_channels < 1:
            raise ConfigError("a detector needs at least one class and one channel")

        def default(name: str, value: object) -> None:
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

        if self.kind == "retinanet":
            default("retina", RetinaConfig())
            # Its pyramid leaves out the finest map, whose norm would never learn.
            used = tuple(stage for stage in self.backbone.norm_stages if stage > 0)
            object.__setattr__(self, "backbone", replace(self.backbone, norm_stages=used))
        else:
            default("rpn", default_rpn(self.kind))
            default("roi", default_roi(self.kind))
        self._validate()

    def _validate(self) -> None:
        retina = self.kind == "retinanet"
        if retina != (self.retina is not None) or retina == (self.rpn is not None):
            raise ConfigError(f"{self.kind} cannot have these heads; leave theirs at None")
        if retina != (self.roi is None):
            raise ConfigError(f"{self.kind} cannot have RoI settings; leave roi at None")
        if self.roi is not None:
            masks = self.kind in ("mask_rcnn", "cascade_mask_rcnn", "htc")
            if masks != (self.roi.mask is not None):
                raise ConfigError(f"{self.kind} {'needs' if masks else 'has no'} mask settings")
            if self.roi.semantic is not None and self.roi.semantic.level >= self.num_levels:
                raise ConfigError(f"the pyramid has {self.num_levels} levels, from 0")

    @property
    def num_levels(self) -> int:
        """Levels of the pyramid: the backbone's and one more (RetinaNet: two, less the first)."""
        return self.backbone.num_stages + 1

    @property
    def has_masks(self) -> bool:
        return self.roi is not None and self.roi.mask is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DetectorConfig":
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ConfigError: a key that this version does not know.
        """
        return from_plain(cls, values)


def detection_backbone(config: SwinConfig) -> SwinConfig:
    """The backbone as detectors use it: every map normed, shifts kept on small maps."""
    stages = tuple(range(config.num_stages))
    return replace(config, norm_stages=stages, small_map_rule="keep")


def default_rpn(kind: Kind) -> RPNConfig:
    """Region proposals as the published detectors of that kind train them."""
    if kind in ("faster_rcnn", "mask_rcnn"):
        return RPNConfig()
    return RPNConfig(border=0, box_beta=CASCADE_RPN_BETA, train_proposals=2000)


def default_roi(kind: Kind) -> RoIConfig:
    """RoI stages as published: mmdet's Mask R-CNN, the Swin fork's Cascade, mmdet's HTC."""
    if kind == "htc":
        return RoIConfig(
            stages=CASCADE_STAGES,
            box=BoxHeadConfig(class_agnostic=True),
            mask=MaskHeadConfig(flow=True),
            interleaved=True,
            box_loss="smooth_l1",
        )
    mask = None if kind in ("faster_rcnn", "cascade_rcnn") else MaskHeadConfig()
    if kind in ("faster_rcnn", "mask_rcnn"):
        return RoIConfig(mask=mask)
    return RoIConfig(
        stages=CASCADE_STAGES,
        box=BoxHeadConfig(num_convs=4, num_fcs=1, norm="sync_batch"),
        mask=mask,
        low_quality=False,
        box_loss="giou",
        box_loss_weight=10.0,
    )
