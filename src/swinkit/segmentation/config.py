"""Architecture and losses of a segmenter, as plain data. Importing this needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.settings import PlainConfig


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig(PlainConfig):
    """Everything that decides the computation, and nothing learned.

    Attributes:
        backbone: its stages must all be normed (`norm_stages`).
        num_classes: K.
        decoder: "upernet" (1807.10221, the paper's choice) or "unet", a light one that reaches
            full resolution.
        channels: width of UPerNet's maps, or of the U-Net's coarsest level.
        pool_scales: cells along each axis of UPerNet's pooling grids.
        auxiliary_stage: stage (from 0) whose map a second head reads in training, or None.
        auxiliary_channels: width of that head.
        auxiliary_convs: its convolutions.
        dropout: chance that a channel is dropped before a classifier.

    Raises:
        ConfigError: values that contradict each other.
    """

    backbone: SwinConfig
    num_classes: int = 150
    decoder: Literal["upernet", "unet"] = "upernet"
    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    auxiliary_stage: int | None = 2
    auxiliary_channels: int = 256
    auxiliary_convs: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool_scales", tuple(self.pool_scales))
        stages = self.backbone.num_stages
        if self.decoder not in ("upernet", "unet"):
            raise ConfigError(f"decoder is {self.decoder!r}; choose upernet or unet")
        if self.num_classes < 1:
            raise ConfigError(f"num_classes is {self.num_classes}; a segmenter needs at least one")
        if self.backbone.norm_stages != tuple(range(stages)) or stages < 2:
            raise ConfigError(
                f"norm_stages is {self.backbone.norm_stages}; a segmenter reads all of its "
                f"backbone's stages, two or more: give {tuple(range(stages))}"
            )
        if self.auxiliary_stage is not None and not 0 <= self.auxiliary_stage < stages:
            raise ConfigError(
                f"auxiliary_stage is {self.auxiliary_stage}; choose 0 to {stages - 1}, or none"
            )
        sizes = (self.channels, self.auxiliary_channels, self.auxiliary_convs)
        if min(*sizes, *self.pool_scales, 1) < 1 or not self.pool_scales:
            raise ConfigError("channels, auxiliary sizes and pool_scales must be >= 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        patch = self.backbone.patch_size
        if self.decoder == "unet" and (patch < 2 or patch & (patch - 1)):
            raise ConfigError(f"patch_size is {patch}; the U-Net halves: give 2, 4, 8, ...")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SegmenterConfig":
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ConfigError: a key that this version does not know.
        """
        # Weights saved by swinkit 0.1 name this switch of speed, which is no part of a network.
        known = {name: value for name, value in values.items() if name != "late_enlarging"}
        return super().from_dict(known)


@dataclass(frozen=True, kw_only=True)
class SegmentationLossConfig:
    """A weighted sum of losses over the labeled pixels.

    Attributes:
        cross_entropy: weight of the cross-entropy; 0 leaves it out.
        dice: weight of the Dice loss (1606.04797), for classes of small area.
        lovasz: weight of the Lovász-softmax loss (1705.08790), which follows the IoU.
        lovasz_stride: it reads every n-th pixel along each axis: sorting them is what it costs, and
            a decoder at a quarter of the resolution hardly tells neighbors apart.
        auxiliary: weight of the auxiliary head's cross-entropy (the paper: 0.4).
        class_weights: one factor per class in the cross-entropy, or None.
        ignore_index: label of pixels that do not count.
        average: of the cross-entropy: "labeled" divides by the labeled pixels (by the sum of
            their class weights), "all" by every pixel, ignored ones too, as the published models
            were trained (mmsegmentation's default).
        ohem_threshold: online hard example mining (1604.03540): only pixels whose true class has
            a probability below it enter the cross-entropy; None takes all.
        ohem_least: but at least this many pixels of a batch, the hardest.

    Raises:
        ConfigError: a value outside its range, or no loss at all.
    """

    cross_entropy: float = 1.0
    dice: float = 0.0
    lovasz: float = 0.0
    lovasz_stride: int = 1
    auxiliary: float = 0.4
    class_weights: tuple[float, ...] | None = None
    ignore_index: int = 255
    average: Literal["labeled", "all"] = "labeled"
    ohem_threshold: float | None = None
    ohem_least: int = 100_000

    def __post_init__(self) -> None:
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", tuple(self.class_weights))
            if not self.class_weights or min(self.class_weights) < 0:
                raise ConfigError("class_weights must hold one number >= 0 per class")
        weights = (self.cross_entropy, self.dice, self.lovasz)
        if min(*weights, self.auxiliary) < 0 or max(weights) == 0:
            raise ConfigError(
                f"loss weights are {weights}, auxiliary {self.auxiliary}; they must be >= 0, and "
                "one of cross_entropy, dice, lovasz above 0"
            )
        if self.average not in ("labeled", "all"):
            raise ConfigError(f"average is {self.average!r}; choose labeled or all")
        if self.ohem_threshold is not None and not 0 < self.ohem_threshold <= 1:
            raise ConfigError(f"ohem_threshold is {self.ohem_threshold}; it must lie in (0, 1]")
        for name in ("ohem_least", "lovasz_stride"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be >= 1")
