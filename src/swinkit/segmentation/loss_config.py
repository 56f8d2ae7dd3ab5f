"""Which losses train a segmenter, and with what weights. Importing this needs no PyTorch."""

from dataclasses import dataclass
from typing import Literal

from swinkit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SegmentationLossConfig:
    """A weighted sum of losses over the labelled pixels.

    Attributes:
        cross_entropy: weight of the cross-entropy; 0 leaves it out.
        dice: weight of the Dice loss (1606.04797), for classes of small area.
        lovasz: weight of the Lovász-softmax loss (1705.08790), which follows the IoU.
        lovasz_stride: it reads every n-th pixel along each axis: sorting them is what it costs, and
            a decoder at a quarter of the resolution tells neighbours hardly apart.
        auxiliary: weight of the auxiliary head's cross-entropy (the paper: 0.4).
        class_weights: one factor per class in the cross-entropy, or None.
        ignore_index: label of pixels that do not count.
        average: of the cross-entropy: "labelled" divides by the labelled pixels (by the sum of
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
    average: Literal["labelled", "all"] = "labelled"
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
        if self.average not in ("labelled", "all"):
            raise ConfigError(f"average is {self.average!r}; choose labelled or all")
        if self.ohem_threshold is not None and not 0 < self.ohem_threshold <= 1:
            raise ConfigError(f"ohem_threshold is {self.ohem_threshold}; it must lie in (0, 1]")
        for name in ("ohem_least", "lovasz_stride"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be >= 1")
