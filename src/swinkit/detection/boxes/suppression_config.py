"""How overlapping detections are suppressed, as plain data."""

from dataclasses import dataclass
from typing import Literal

from swinkit.errors import ConfigError

Method = Literal["hard", "linear", "gaussian"]


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
